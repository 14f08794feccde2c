"""Topics as TREC gives them out."""

import gzip

import pytest

from lsr.errors import InputError
from lsr.eval import load_collection, load_judged, read_topics

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
