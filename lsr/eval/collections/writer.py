"""How is a judged collection kept? As a BEIR folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from lsr.corpus import Document
from lsr.errors import InputError, reason
from lsr.eval.collections.collection import Qrels


def write_collection(
    folder: Path, documents: Iterable[Document], queries: Mapping[str, str], qrels: Qrels, split: str = "test"
) -> int:
    """Write corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv into the new folder ``folder``; the number of documents.

    Raises:
        InputError: the folder exists, or cannot be written.
    """
    try:
        (folder / "qrels").mkdir(parents=True)
        with (folder / "corpus.jsonl").open("wb") as file:
            count = sum(1 for document in documents if file.write(_line(document.id, document.text, document.title)))
        (folder / "queries.jsonl").write_bytes(b"".join(_line(name, text) for name, text in queries.items()))
        lines = [f"{query}\t{name}\t{grade}\n" for query, graded in qrels.items() for name, grade in graded.items()]
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    except FileExistsError:
        raise InputError(f"{folder} holds a collection: choose a new folder") from None
    except OSError as error:
        raise InputError(f"cannot write {folder}: {reason(error)}") from None
    return count


def _line(name: str, text: str, title: str | None = None) -> bytes:
    record = {"_id": name, "text": text} if title is None else {"_id": name, "title": title, "text": text}
    return msgspec.json.encode(record) + b"\n"
