"""What do the rows of a table hold whose first line names its columns? Comma-separated (RFC 4180), or with tabs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence

from lsr.corpus.streams import ByteStream
from lsr.errors import InputError

SEPARATORS = ",;\t|"
LARGEST_CELL = 2**27  # characters

Choice = Callable[[Sequence[str]], Sequence[str]]


def csv_records(stream: ByteStream, choose: Choice) -> Iterator[tuple[str, dict[str, str]]]:
    """(place, record) of every row; a place reads "products.csv, line 3" and is where the row begins.

    The separator is the one of comma, semicolon, tab and bar that the first line has most of. Cells in double quotes
    may hold separators, line breaks and doubled quotes.

    Args:
        stream: the file.
        choose: which of the columns a record shall hold, from all their names.

    Raises:
        InputError: a row of another width, a quote that is never closed, bytes that are not UTF-8, or what ``choose``
            refuses.
    """
    lines = (line for _, line in stream.whole_lines(blank=True))
    first = next(lines, "")
    csv.field_size_limit(LARGEST_CELL)
    separator = max(SEPARATORS, key=first.count)
    names = next(csv.reader([first], delimiter=separator), [])
    wanted = [(name, names.index(name)) for name in _chosen(choose, names, f"{stream.name}, line 1")]
    rows = csv.reader(lines, delimiter=separator, strict=True)
    begin = 2
    while (row := _row(rows, f"{stream.name}, line {begin}")) is not None:
        if row:
            yield _record(row, names, wanted, f"{stream.name}, line {begin}")
        begin = rows.line_num + 2


def tab_records(stream: ByteStream, choose: Choice) -> Iterator[tuple[str, dict[str, str]]]:
    """The same of a table with tabs, where quotes mean nothing and a line is a row."""
    lines = stream.text_lines()
    place, first = next(lines, (stream.name, ""))
    names = first.split("\t")
    wanted = [(name, names.index(name)) for name in _chosen(choose, names, place)]
    for place, line in lines:
        yield _record(line.split("\t"), names, wanted, place)


def _chosen(choose: Choice, names: Sequence[str], place: str) -> Sequence[str]:
    try:
        return choose(names)
    except InputError as error:
        raise InputError(f"{place}: {error}; the first line names the columns") from None


def _row(rows: Iterator[list[str]], place: str) -> list[str] | None:
    try:
        return next(rows, None)
    except csv.Error as error:
        raise InputError(
            f"{place}: not a row of a CSV file ({error}); close its quotes and double those inside"
        ) from None


def _record(
    row: Sequence[str], names: Sequence[str], wanted: Sequence[tuple[str, int]], place: str
) -> tuple[str, dict[str, str]]:
    if len(row) != len(names):
        raise InputError(f"{place}: found {len(row)} columns, wanted {len(names)} as in the first line")
    return place, {name: row[at] for name, at in wanted}
