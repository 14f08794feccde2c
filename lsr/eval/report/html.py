"""Which pieces of HTML do all sections need? Tables and figures, every word escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Place = str | tuple[str, bool]  # words, or words and whether they are the best of the column


def table(head: Sequence[str], rows: Sequence[Sequence[Place]], caption: str = "") -> str:
    """A table that scrolls sideways where it is wider than the page."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(map(_place, row)) + "</tr>" for row in rows)
    words = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{words}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def figure(picture: str, words: str) -> str:
    """A picture and what it shows."""
    return f"<figure>{picture}<figcaption>{escape(words)}</figcaption></figure>"


def _place(place: Place) -> str:
    words, best = (place, False) if isinstance(place, str) else place
    return f'<td class="best">{escape(words)}</td>' if best else f"<td>{escape(words)}</td>"
