"""Topics as TREC gives them out."""

import gzip

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsr.errors import InputError
from lsr.eval import load_collection, load_judged, read_topics
from tests.conftest import outcome

SGML = """
<top>

<num> Number: 301
<title> International Organized Crime

<desc> Description:
Identify organizations that participate in
international criminal activity.

<narr> Narrative:
A relevant document must name one.

</top>

<top>
<num> Number: 302 <title> Poliomyelitis and Post-Polio
<desc> Description: Is the disease under control?
</top>
"""
COVID = """<?xml version="1.0" encoding="UTF-8"?>
<topics task="COVIDSearch2020">
  <topic number="1">
    <query>coronavirus origin</query>
    <question>what is the origin of
      COVID-19 &amp; others</question>
    <narrative>seeking</narrative>
  </topic>
</topics>
"""
TRIALS = '<topics><topic number="7">A 45-year-old\nwoman.</topic></topics>'


def test_topics_without_closing_tags_are_read(tmp_path):
    (tmp_path / "topics.txt.gz").write_bytes(gzip.compress(SGML.encode()))
    titles = {"301": "International Organized Crime", "302": "Poliomyelitis and Post-Polio"}
    assert read_topics(tmp_path / "topics.txt.gz") == titles
    assert read_topics(tmp_path / "topics.txt", "desc") == {
        "301": "Identify organizations that participate in international criminal activity.",
        "302": "Is the disease under control?",
    }


def test_xml_topics_are_read(tmp_path):
    (tmp_path / "covid.xml").write_text(COVID)
    assert read_topics(tmp_path / "covid.xml") == {"1": "coronavirus origin"}
    assert read_topics(tmp_path / "covid.xml", "question") == {"1": "what is the origin of COVID-19 & others"}
    (tmp_path / "trials.xml").write_text(TRIALS)
    assert read_topics(tmp_path / "trials.xml") == {"7": "A 45-year-old woman."}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no topics at all", "found no <top> or <topic>"),
        ("<top>\n<num> 1 <title> a\n</top>\n<top>\n<title> b\n</top>", "line 4: a topic without number"),
        ("<top><num> 1 <title> a </top><top><num> 1 <title> b </top>", "the id '1' was given before"),
        (TRIALS.replace("</topics>", ""), "line 2: not XML"),
        ('<?xml version="1.0"?><!DOCTYPE t [<!ENTITY a "b">]><t/>', "topics that declare entities"),
    ],
)
def test_bad_topics_are_named(tmp_path, content, message):
    (tmp_path / "topics.txt").write_text(content)
    with pytest.raises(InputError, match=message):
        read_topics(tmp_path / "topics.txt")


def test_a_missing_field_is_named_with_those_that_are_there(tmp_path):
    (tmp_path / "topics.txt").write_text(SGML)
    with pytest.raises(InputError, match=r"line 2: a topic without summary; found the fields num, title, desc, narr"):
        read_topics(tmp_path / "topics.txt", "summary")


def test_a_folder_of_topics_and_qrels_is_a_collection(tmp_path):
    (tmp_path / "docs.jsonl").write_text('{"id": "FT911-1", "contents": "x"}\n')
    (tmp_path / "topics.robust04.txt").write_text(SGML)
    (tmp_path / "qrels.robust04.txt").write_text("301 0 FT911-1 1\n302 0 FT911-1 -1\n")
    found = load_collection(tmp_path)
    assert (found.split, found.queries["302"], found.qrels["302"]) == (
        "robust04",
        "Poliomyelitis and Post-Polio",
        {"FT911-1": -1},
    )
    assert load_judged(tmp_path / "qrels.robust04.txt").qrels == found.qrels
    (tmp_path / "qrels.two.txt").write_text("301 0 FT911-1 1\n")
    with pytest.raises(InputError, match="found judgements robust04, two: choose one with --split"):
        load_collection(tmp_path)
    (tmp_path / "topics.robust04.txt").unlink()
    with pytest.raises(InputError, match="found 0 files of topics for 'two'"):
        load_collection(tmp_path, "two")


GERMAN = '<topics><topic number="1"><title>Brücken über Flüße</title></topic></topics>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "iso-8859-1", "windows-1252", "utf-16", "us-ascii"])
@pytest.mark.parametrize("name", ["topics.xml", "topics.xml.gz"])
def test_xml_topics_are_read_in_the_encoding_that_they_declare(tmp_path, name, encoding):
    text = GERMAN.replace("ü", "&#252;").replace("ß", "&#223;") if encoding == "us-ascii" else GERMAN
    declared = encoding.removesuffix("-sig")
    content = f'<?xml version="1.0" encoding="{declared}"?>\n{text}'.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert read_topics(tmp_path / name) == {"1": "Brücken über Flüße"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_older_topics_may_have_a_byte_order_mark(tmp_path, encoding, end):
    text = "<top>\n<num> Number: 1\n<title> Brücken \n\n<desc> Description:\nüber ਠਊ\n</top>\n".replace("\n", end)
    content = b"\xfe\xff" + text.encode("utf-16-be") if encoding == "utf-16-be-mark" else text.encode(encoding)
    (tmp_path / "topics.txt").write_bytes(content)
    assert read_topics(tmp_path / "topics.txt") == {"1": "Brücken"}
    assert read_topics(tmp_path / "topics.txt", "desc") == {"1": "über ਠਊ"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.tsv", b"1\tone\n2\tcaf\xe9\n", r"t.tsv, line 2: not UTF-8 \(byte 0xe9 at position 5\); convert"),
        ("t.txt", b"<top>\n<num> 1\n<title> caf\xe9\n</top>", r"t.txt, line 3: not UTF-8 \(byte 0xe9"),
        ("t.jsonl", b'{"_id": "1", "text": "caf\xe9"}', r"t.jsonl, line 1: not UTF-8"),
        ("t.xml", b'<?xml version="1.0"?>\n<topics>caf\xe9</topics>', r"t.xml, line 2: not XML"),
        ("t.xml", b'<?xml version="1.0" encoding="ascii"?>\n<topics>caf\xe9</topics>', r"t.xml, line 2: not XML"),
        ("t.xml", b'<?xml version="1.0" encoding="shift_jis"?><topics/>', r"t.xml, line 1: "),
        ("t.xml", b'<?xml version="1.0" encoding="klingon"?><topics/>', r"t.xml, line 1: "),
        ("t.tsv", b"", "t.tsv holds no topics"),
        ("t.tsv", b"\n \r\n", "t.tsv holds no topics"),
        ("t.jsonl", b"", "t.jsonl holds no topics"),
        ("t.xml", b"", "found no <top> or <topic>"),
        ("t.tsv", b"1\tone\r2\ttwo\n3\tthree\n", "line 1: found a carriage return inside the line"),
        ("t.tsv", b"1\0a\tone\n", "line 1: found a NUL"),
        ("t.tsv", b"\tone\n", "line 1: found no id followed by a tab"),
        ("t.tsv", b"1 one\n", "line 1: found no id followed by a tab"),
        ("t.tsv", b"1\tone\n1\tone\n", "line 2: the id '1' was given before"),
        ("t.jsonl", b'{"_id": null, "text": "x"}', r"line 1: found the query id None, wanted a text"),
        ("t.jsonl", b'{"_id": 1.5, "text": "x"}', r"line 1: found the query id 1.5, wanted a text"),
        ("t.jsonl", b'{"_id": true, "text": "x"}', r"line 1: found the query id True"),
        ("t.jsonl", b'{"_id": "", "text": "x"}', r"line 1: found the query id ''"),
        ("t.jsonl", b'{"_id": ["1"], "text": "x"}', r"line 1: found the query id \["),
        ("t.jsonl", b'{"_id": "a\\u0000b", "text": "x"}', r"line 1: the query id 'a\\x00b' holds a NUL"),
        ("t.jsonl", b'{"_id": "1", "text": null}', r"line 1: wanted the fields '_id' and 'text'"),
        ("t.jsonl", b'{"_id": 1, "text": "x"}\n{"_id": "1", "text": "y"}', r"line 2: the id '1' was given before"),
        ("t.tsv.gz", gzip.compress(b"1\tone\n", mtime=0)[:20], r"t.tsv.gz: damaged"),
        ("t.xml.gz", gzip.compress(SGML.encode(), mtime=0)[:90], r"t.xml.gz: damaged"),
    ],
)
def test_odd_files_of_topics_are_refused_with_their_place(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_topics(tmp_path / name)


@pytest.mark.parametrize(
    ("title", "asked"),
    [
        ("Hot topic: climate debate", "Hot topic: climate debate"),
        ("Topic:  Airbus Subsidies", "Airbus Subsidies"),
        ("Description: of a word", "Description: of a word"),
        ("velocity < 5 metres", "velocity < 5 metres"),
        ("a<b and b>c", "a<b and b>c"),
        ("if x <y> z", "if x <y> z"),
        ("AT&amp;T &lt;tags&gt; caf&#233;", "AT&T <tags> café"),
        ("R&D, AT&T, black&notwhite", "R&D, AT&T, black&notwhite"),
        ("the <i>E. coli</i> genome", "the E. coli genome"),
        ("<b>all</b>", "all"),
        ("two\n  lines\t here", "two lines here"),
    ],
)
@pytest.mark.parametrize("shape", ["open", "closed", "one line"])
def test_the_whole_of_a_title_is_asked(tmp_path, title, asked, shape):
    form = {
        "open": "<top>\n<num> Number: 7\n<title> {}\n\n<desc> Description:\nmore\n</top>\n",
        "closed": "<top>\n<num>7</num>\n<title>{}</title>\n</top>\n<top><num>8</num><title>x</title></top>",
        "one line": "<TOP><num> 7 <title> {} <desc> Description: more </TOP>",
    }[shape]
    (tmp_path / "topics.txt").write_text(form.format(title))
    assert read_topics(tmp_path / "topics.txt")["7"] == asked
    assert read_topics(tmp_path / "topics.txt", "desc") if shape != "closed" else True


def test_markup_in_xml_topics_takes_nothing_away(tmp_path):
    text = "the <i>E. <b>coli</b></i> genome, velocity &lt; 5, <![CDATA[a <b> c]]>"
    (tmp_path / "t.xml").write_text(f'<topics><topic number="1"><query>{text}</query><narr>no</narr></topic></topics>')
    assert read_topics(tmp_path / "t.xml") == {"1": "the E. coli genome, velocity < 5, a <b> c"}
    assert read_topics(tmp_path / "t.xml", "narr") == {"1": "no"}


def test_ids_of_queries_may_be_whole_numbers(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"_id": 1, "text": "one"}\n{"_id": "007", "text": ""}\n')
    assert read_topics(tmp_path / "t.jsonl") == {"1": "one", "007": ""}


PIECES = [
    *[b"<top>", b"</top>", b"<num> 1", b"<num>2</num>", b"<title> a", b"</title>", b"<b>", b"&amp;", b"\n", b"\xe9"],
    *[b'<?xml version="1.0"?>', b"<topics>", b'<topic number="1">', b"x</topic>", b"</topics>", b"\0", b"\xff\xfe"],
    *[b'{"_id": 1, "text": "x"}', b"1\tone", b"\r"],
]
pieces = st.lists(st.sampled_from(PIECES)).map(b"".join)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["t.txt", "t.xml", "t.tsv", "t.jsonl", "t.tsv.gz"]), pieces | st.binary(max_size=30))
def test_any_bytes_are_topics_or_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(
        gzip.compress(content, mtime=0)[: -len(content) % 3 or None] if ".gz" in name else content
    )
    found = outcome(read_topics, tmp_path / name)
    assert name in found or "entities" in found if isinstance(found, str) else all(found)
