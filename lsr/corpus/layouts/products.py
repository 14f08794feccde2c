"""Which products does a shop sell? The folders of two judged collections of product search, WANDS and ESCI.

- WANDS (Chen et al., ECIR 2022): product.csv, tab-separated; title product_name, text product_description and
  product_features.
- ESCI (Reddy et al., arXiv 2206.06588): shopping_queries_dataset_products.parquet; title product_title, text
  product_description, product_bullet_point, product_brand and product_color, in that order. Ids are unique within a
  locale only: a folder stands for the locale us, FOLDER/es and FOLDER/jp for the others.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lsr.corpus.document import Document, checked
from lsr.corpus.layouts.parquet import open_parquet, records
from lsr.corpus.streams import ByteStream, open_file
from lsr.corpus.values import decoded, plain_text
from lsr.errors import InputError

WANDS = "product.csv"
ESCI = "shopping_queries_dataset_products.parquet"
LOCALES = ("us", "es", "jp")
WANDS_TEXTS = ("product_description", "product_features")
ESCI_TEXTS = ("product_description", "product_bullet_point", "product_brand", "product_color")
ROWS = 4096
MOST_CHARACTERS = 2**27  # of a field; Python's own limit, 131,072, is less than WANDS has


def esci_locale(path: Path) -> tuple[Path, str] | None:
    """The ESCI folder and locale that ``path`` stands for; None where it is none."""
    if (path / ESCI).is_file():
        return path, LOCALES[0]
    return (path.parent, path.name) if path.name in LOCALES and (path.parent / ESCI).is_file() else None


def read_tab_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """(place, row) of a tab-separated table with a header; fields may be quoted.

    Raises:
        InputError: a column is missing, a row is shorter or longer than the header, or a line is not UTF-8; the message
            names the line.
    """
    csv.field_size_limit(MOST_CHARACTERS)
    file = open_file(path)
    table = csv.reader(_text_of(file), delimiter="\t")
    try:
        header = next(table, [])
        if missing := [name for name in columns if name not in header]:
            raise InputError(
                f"{file.name}: no column {missing[0]!r} among {header!r:.200}; wanted tabs between columns"
            )
        for row in table:
            place = f"{file.name}, line {table.line_num}"
            if len(row) != len(header):
                raise InputError(f"{place}: found {len(row)} columns, wanted {len(header)} as in the header")
            yield place, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise InputError(f"{file.name}, line {table.line_num}: {error}") from None
    finally:
        file.close()


def _text_of(file: ByteStream) -> Iterator[str]:
    for number, line in file.lines(blank=True):
        try:
            yield decoded(line)
        except InputError as fault:
            raise InputError(f"{file.name}, line {number}: {fault}") from None


def read_parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, row) of some columns of a Parquet file.

    Raises:
        InputError: not Parquet, or a column is missing.
    """
    with open_parquet(path) as file:
        if missing := [name for name in columns if name not in file.schema_arrow.names]:
            raise InputError(f"{path}: no column {missing[0]!r}; found {', '.join(file.schema_arrow.names)}")
        for number, row in records(path, file, ROWS, columns, first=1):
            yield f"{path.name}, row {number}", row


def read_wands(path: Path) -> Iterator[tuple[str, Document]]:
    """(place, product) of a WANDS product.csv."""
    for place, row in read_tab_table(path, ("product_id", "product_name", *WANDS_TEXTS)):
        yield place, _product(place, row, "product_name", WANDS_TEXTS)


def read_esci(path: Path, locale: str) -> Iterator[tuple[str, Document]]:
    """(place, product) of one locale of an ESCI file of products."""
    for place, row in read_parquet_rows(path, ("product_id", "product_title", *ESCI_TEXTS, "product_locale")):
        if row["product_locale"] == locale:
            yield place, _product(place, row, "product_title", ESCI_TEXTS)


def _product(place: str, row: Mapping[str, Any], title: str, texts: Sequence[str]) -> Document:
    try:
        text = " ".join(filter(None, (plain_text(row[name], f"field {name!r}").strip() for name in texts)))
        return checked(Document(row["product_id"], row[title], text))
    except InputError as fault:
        raise InputError(f"{place}: {fault}") from None
