"""A folder of files of text: one document a file, headings are titles, dates are fields."""

import os

import pytest

from lsr.corpus import DocumentReader, Fields
from lsr.errors import InputError

HTML = """<!doctype html><html><head><title>Bees &amp; hives</title><style>p {color: red}</style></head>
<body><h1>Bees</h1><p>dance <b>well</b>.</p><script>alert("no")</script><ul><li>one<li>two</ul></body></html>"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "site" / "deep").mkdir(parents=True)
    (tmp_path / "site" / "bees.html").write_text(HTML)
    (tmp_path / "site" / "deep" / "notes.md").write_bytes("\ufeffIntro\n\n## The hive\n\nhoney ü".encode())
    (tmp_path / "site" / "plain.txt").write_text("just words")
    (tmp_path / "site" / ".hidden.txt").write_text("no")
    (tmp_path / "site" / "picture.png").write_bytes(b"\x89PNG")
    for path in (tmp_path / "site").rglob("*.*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return tmp_path / "site"


def test_every_file_is_a_document(folder):
    reader = DocumentReader(folder, Fields(store="all"))
    found = {document.id: document for document in reader}
    assert list(found) == ["bees.html", "deep/notes.md", "plain.txt"]
    assert (found["bees.html"].title, found["bees.html"].text) == ("Bees & hives", "Bees\ndance well.\none\ntwo")
    assert (found["deep/notes.md"].title, found["deep/notes.md"].text) == (
        "The hive",
        "Intro\n\n## The hive\n\nhoney ü",
    )
    assert found["plain.txt"][:3] == ("plain.txt", "plain", "just words")
    assert found["plain.txt"].fields == {"modified": "2023-11-14T22:13:20Z", "bytes": 10}
    assert reader.position == reader.size
    assert reader.notes == []


def test_fields_are_kept_as_asked(folder):
    assert all(not document.fields for document in DocumentReader(folder))
    assert [d.fields for d in DocumentReader(folder / "plain.txt", Fields(store="bytes"))] == [{"bytes": 10}]


def test_single_files_have_their_path_as_id(folder):
    files = [folder / "plain.txt", folder / "bees.html"]
    assert [document.id for document in DocumentReader(files)] == [path.as_posix() for path in files]


def test_parts_of_a_corpus_come_before_files_of_text(folder):
    (folder / "part-0.jsonl").write_text('{"id": "x", "text": "y"}\n')
    assert [document.id for document in DocumentReader(folder)] == ["x"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"abc\xff"])
def test_a_file_that_is_not_utf8_is_named(folder, content):
    (folder / "plain.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"plain\.txt: not UTF-8"):
        list(DocumentReader(folder))


@pytest.mark.parametrize(
    "text", ["", "<", "<title>", "<p", "<script>never closed", "<!--", "&#xD800;", "<b><i></b></i>"]
)
def test_odd_html_is_some_text(folder, text):
    (folder / "bees.html").write_text(text)
    assert len(list(DocumentReader(folder))) == 3
