"""Which products answer a shopper? Queries and judgements of the folders WANDS and ESCI, as grades.

WANDS: Exact 2, Partial 1, Irrelevant 0. ESCI: its gains 1, 0.1, 0.01 and 0 for exact, substitute, complement and
irrelevant, times 100, since grades are whole; nDCG with linear gains is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lsr.corpus.layouts.products import LOCALES, WANDS, esci_locale, read_parquet_rows, read_tab_table
from lsr.errors import InputError

WANDS_GRADES = {"Exact": 2, "Partial": 1, "Irrelevant": 0}
ESCI_GRADES = {"E": 100, "S": 10, "C": 1, "I": 0}
ESCI_EXAMPLES = "shopping_queries_dataset_examples.parquet"
ESCI_COLUMNS = ("query_id", "query", "product_id", "product_locale", "esci_label", "split")

Judged = tuple[dict[str, str], dict[str, dict[str, int]]]


def is_wands(root: Path) -> bool:
    """Whether a folder holds WANDS."""
    return all((root / name).is_file() for name in ("query.csv", WANDS, "label.csv"))


def read_wands(root: Path) -> Judged:
    """Query texts and grades by query.

    Raises:
        InputError: a malformed table, an unknown label, or a pair judged twice and differently.
    """
    texts = {row["query_id"]: row["query"] for _, row in read_tab_table(root / "query.csv", ("query_id", "query"))}
    rows = read_tab_table(root / "label.csv", ("query_id", "product_id", "label"))
    return texts, _graded(((place, row, row["label"]) for place, row in rows), WANDS_GRADES)


def read_esci(root: Path, split: str) -> Judged:
    """Query texts and grades of one locale by query; the smaller set of queries where the file marks it.

    Args:
        root: the folder, for the locale us, or FOLDER/es, FOLDER/jp.
        split: test or train.

    Raises:
        InputError: a malformed table, an unknown label, or no example of this locale and split.
    """
    folder, locale = esci_locale(root) or (root, LOCALES[0])
    texts: dict[str, str] = {}

    def examples() -> Iterable[tuple[str, Mapping[str, Any], str]]:
        for place, row in read_parquet_rows(folder / ESCI_EXAMPLES, (*ESCI_COLUMNS, "small_version")):
            if row["split"] == split and row["product_locale"] == locale and row["small_version"]:
                texts[str(row["query_id"])] = row["query"]
                yield place, row, row["esci_label"]

    qrels = _graded(examples(), ESCI_GRADES)
    if not qrels:
        raise InputError(f"{folder}: no examples of split {split!r} and locale {locale!r}; wanted test or train")
    return texts, qrels


def _graded(rows: Iterable[tuple[str, Mapping[str, Any], str]], grades: Mapping[str, int]) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for place, row, label in rows:
        if label not in grades:
            raise InputError(f"{place}: found the label {label!r}, wanted {', '.join(grades)}")
        own, product = qrels.setdefault(str(row["query_id"]), {}), str(row["product_id"])
        if own.setdefault(product, grades[label]) != grades[label]:
            raise InputError(f"{place}: product {product!r} had another label for query {row['query_id']}; keep one")
    return qrels
