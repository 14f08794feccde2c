"""PDF files in a folder of files: text page by page, titles, and what cannot be read."""

import sys
from pathlib import Path

import pytest

from lsr.corpus import DocumentReader, Fields
from lsr.errors import InputError, MissingExtraError


def pdf(*pages, title="", trailer=""):
    """A small PDF; a page is lines of text, or None for one without."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for i, page in enumerate(pages):
        lines = "" if page is None else " ".join(f"({line}) Tj T*" for line in page.split("\n"))
        content = f"BT /F 12 Tf 14 TL 72 720 Td {lines} ET"
        look = f"/MediaBox[0 0 612 792]/Resources<</Font<</F 3 0 R>>>>/Contents {5 + 2 * i} 0 R"
        objects += [f"<</Type/Page/Parent 2 0 R{look}>>", f"<</Length {len(content)}>>stream\n{content}\nendstream"]
    objects.append(f"<</Title({title})>>")
    return assembled(objects, f"/Info {len(objects)} 0 R{trailer}")


def assembled(objects, trailer):
    out, places = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj{text}endobj\n".encode()
    rows = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"trailer<</Size {size}/Root 1 0 R{trailer}>>\nstartxref\n{len(out)}\n%%EOF"
    return out + f"xref\n0 {size}\n0000000000 65535 f \n{rows}{end}".encode()


LOCKED = f"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<{'12' * 32}>/U<{'34' * 32}>>>/ID[<56><56>]"


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip("pypdfium2")
    (tmp_path / "in").mkdir()
    (tmp_path / "bees.pdf").write_bytes(
        pdf("Bees dance and commu-\nnicate often.", None, "Page three", title="On bees")
    )
    (tmp_path / "in" / "hive.PDF").write_bytes(pdf("A hive"))
    (tmp_path / "plain.txt").write_text("just words")
    return tmp_path


def test_a_pdf_is_a_document(folder):
    reader = DocumentReader(folder, Fields(store="all"))
    found = {document.id: document for document in reader}
    assert list(found) == ["bees.pdf", "in/hive.PDF", "plain.txt"]
    assert found["bees.pdf"][1:3] == ("On bees", "Bees dance and communicate often.\nPage three")
    assert found["in/hive.PDF"][1:3] == ("hive", "A hive")
    assert sorted(found["bees.pdf"].fields) == ["bytes", "modified"]
    assert reader.position == reader.size
    assert reader.notes == []


@pytest.mark.parametrize("content", [b"", b"hello", b"%PDF-1.4\nnothing", pdf("text")[:150]])
def test_a_damaged_file_is_named(folder, content):
    (folder / "bees.pdf").write_bytes(content)
    with pytest.raises(InputError, match=r"bees\.pdf: not a PDF, or damaged"):
        list(DocumentReader(folder))


def test_a_protected_file_is_named(folder):
    (folder / "bees.pdf").write_bytes(pdf("text", trailer=LOCKED))
    with pytest.raises(InputError, match=r"bees\.pdf: protected by a password"):
        list(DocumentReader(folder))


def test_scans_are_found_by_their_titles_and_reported(folder):
    (folder / "scan.pdf").write_bytes(pdf(None, None, title="Deed of 1871"))
    reader = DocumentReader(folder)
    assert [document[:3] for document in reader][-1] == ("scan.pdf", "Deed of 1871", "")
    first = folder / "scan.pdf"
    assert reader.notes == [f"1 file holds no text, such as scans (first: {first}): only their titles are found"]


def test_nothing_but_scans_is_refused(tmp_path):
    pytest.importorskip("pypdfium2")
    (tmp_path / "scan.pdf").write_bytes(pdf(None))
    with pytest.raises(InputError, match=r"scan\.pdf: found no text, as in a scan"):
        list(DocumentReader(tmp_path))


def test_without_the_extra_its_command_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(MissingExtraError, match=r"bees\.pdf needs the package 'pypdfium2': run pip install .*files"):
        list(DocumentReader(folder))


@pytest.mark.parametrize("suffix", ["pdf", "docx"])
def test_a_file_that_is_too_large_is_named(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr("lsr.corpus.layouts.text_files.LARGEST_PACKED", 3)
    Path(tmp_path / f"big.{suffix}").write_bytes(b"1234")
    with pytest.raises(InputError, match="has 4 bytes: wanted at most 3"):
        list(DocumentReader(tmp_path))
