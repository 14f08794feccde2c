"""What does a PDF say? Its text page by page, and its title."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from lsr.errors import InputError, MissingExtraError

PASSWORD = 4  # what PDFium calls a wrong password
LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
# A word that was broken at the end of a line becomes one again; PDFium puts U+FFFE in the place of its hyphen.
TIDY = {0xFFFE: "", 0x0002: "", 0x0000: "", 0x000D: "", **LIGATURES}

_one_at_a_time = threading.Lock()  # PDFium is not made for threads


def read_pdf(path: Path) -> tuple[str, str]:
    """Title and text of a PDF; both may be empty, the text where pages are pictures.

    Raises:
        InputError: damaged, or protected by a password.
        MissingExtraError: the extra ``files`` is not installed.
    """
    try:
        import pypdfium2
    except ImportError:
        raise MissingExtraError("pypdfium2", "files", f"reading {path}") from None
    with _one_at_a_time:
        try:
            with pypdfium2.PdfDocument(path) as document:
                title = document.get_metadata_value("Title")
                pages = [_text_of(document[number]) for number in range(len(document))]
        except (pypdfium2.PdfiumError, ValueError) as error:  # the latter of a title in no encoding
            raise InputError(f"{path}: {_fault(error)}") from None
    return " ".join(_tidy(title).split()), "\n".join(filter(None, pages))


def _text_of(page: Any) -> str:
    text = page.get_textpage().get_text_range(errors="replace")
    page.close()
    return _tidy(text).strip()


def _tidy(text: str) -> str:
    return text.translate(TIDY)


def _fault(error: Exception) -> str:
    if getattr(error, "err_code", None) == PASSWORD:
        return "protected by a password; save it without, or leave it out"
    return f"not a PDF, or damaged ({error}); fetch the file again, or leave it out"
