"""Word documents in a folder of files: paragraphs, tables and notes, titles, and what cannot be read."""

import zipfile

import pytest

from lsr.corpus import DocumentReader
from lsr.errors import InputError

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"


def paragraph(text, style=""):
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'


def part(body, name="document", namespace=WORD):
    return f'<w:{name} xmlns:w="{namespace}" xmlns:mc="urn:mc">{body}</w:{name}>'


def docx(path, body, **parts):
    """A small document; ``parts`` are others by name with __ for / and _ for a dot."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", body)
        for name, content in parts.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return path


def read(path):
    return next(iter(DocumentReader(path)))[1:3]


def test_paragraphs_and_tables_are_lines_and_the_first_heading_is_the_title(tmp_path):
    table = f"<w:tbl><w:tr><w:tc>{paragraph('left')}</w:tc><w:tc>{paragraph('right')}</w:tc></w:tr></w:tbl>"
    body = paragraph("Before") + paragraph("On bees", "Heading1") + table + paragraph("After", "Heading2")
    assert read(docx(tmp_path / "a.docx", part(body))) == ("On bees", "Before\nOn bees\nleft\nright\nAfter")


def test_words_in_several_runs_stay_whole_and_breaks_part_them(tmp_path):
    runs = "<w:r><w:t>hi</w:t></w:r><w:r><w:t>ve</w:t><w:tab/><w:t>two</w:t><w:br/><w:t>three</w:t></w:r>"
    assert read(docx(tmp_path / "a.docx", part(f"<w:p>{runs}</w:p>"))) == ("a", "hive\ttwo\nthree")


def test_deleted_text_codes_and_repetitions_for_old_programs_are_left_out(tmp_path):
    runs = "<w:r><w:delText>gone</w:delText><w:instrText>PAGE</w:instrText><w:t>stays</w:t></w:r>"
    both = f"<mc:Choice>{paragraph('once')}</mc:Choice><mc:Fallback>{paragraph('twice')}</mc:Fallback>"
    body = f"<w:p>{runs}<mc:AlternateContent>{both}</mc:AlternateContent></w:p>"
    assert read(docx(tmp_path / "a.docx", part(body)))[1] == "stays\nonce"


def test_notes_follow_and_the_title_of_the_properties_comes_first(tmp_path):
    parts = {
        "word__footnotes_xml": part(paragraph("A note"), "footnotes"),
        "docProps__core_xml": '<c xmlns:dc="urn:dc"><dc:title>The title</dc:title></c>',
    }
    path = docx(tmp_path / "a.docx", part(paragraph("Text", "Title")), **parts)
    assert read(path) == ("The title", "Text\nA note")


def test_strict_documents_and_main_parts_of_other_names_are_read(tmp_path):
    relation = f'<r xmlns="urn:r"><R Type="{OFFICE}" Target="/word/main.xml"/></r>'
    main = part(paragraph("Strict"), namespace=STRICT)
    path = docx(tmp_path / "a.docx", "", _rels__rels=relation, word__main_xml=main)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("_rels/.rels", relation)
    assert read(path)[1] == "Strict"


def test_a_document_without_text_beside_others_is_reported(tmp_path):
    docx(tmp_path / "a.docx", part(""))
    (tmp_path / "b.txt").write_text("words")
    reader = DocumentReader(tmp_path)
    assert [document.text for document in reader] == ["", "words"]
    assert "1 file holds no text" in reader.notes[0]


@pytest.mark.parametrize("content", [b"", b"\xd0\xcf\x11\xe0 of an older program", b"PK\x03\x04 cut off"])
def test_what_is_no_zip_is_named(tmp_path, content):
    (tmp_path / "a.docx").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.docx: not a \.docx file, or protected"):
        read(tmp_path / "a.docx")


def test_damage_inside_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a\.docx: damaged \("):
        read(docx(tmp_path / "a.docx", "<w:document>"))
    content = docx(tmp_path / "b.docx", part(paragraph("word " * 50))).read_bytes()
    (tmp_path / "b.docx").write_bytes(content.replace(b"word word", b"ward ward", 1))
    with pytest.raises(InputError, match=r"b\.docx: damaged \(Bad CRC"):
        read(tmp_path / "b.docx")


def test_a_zip_of_something_else_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        archive.writestr("readme.txt", "no")
    with pytest.raises(InputError, match=r"a\.docx: found no text \(word/document\.xml\)"):
        read(tmp_path / "a.docx")


def test_a_text_that_grows_without_bound_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("lsr.corpus.layouts.docx.LARGEST", 100)
    with pytest.raises(InputError, match=r"a\.docx: word/document\.xml has [\d,]+ bytes: wanted at most 100"):
        read(docx(tmp_path / "a.docx", part(paragraph("word " * 50))))


def test_entities_that_multiply_are_refused(tmp_path):
    entities = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 20}">' for i in range(7))
    laughs = f'<!DOCTYPE d [<!ENTITY e0 "ha">{entities}]>' + part(paragraph("&e7;"))
    with pytest.raises(InputError, match=r"a\.docx: damaged"):
        read(docx(tmp_path / "a.docx", laughs))
