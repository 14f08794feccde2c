"""What does a judged test collection hold? Queries and relevance grades, in BEIR layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lsr.corpus import ByteStream, has_member, json_objects, open_member
from lsr.corpus.streams import open_file
from lsr.errors import InputError

Qrels = dict[str, dict[str, int]]
SPLITS = ("test", "dev", "validation", "train")


@dataclass(frozen=True)
class TestCollection:
    """A judged collection.

    Attributes:
        path: the BEIR folder or zip; its corpus is read by `lsr.corpus.DocumentReader`.
        split: which judgements these are.
        queries: text by query id, judged queries only.
        qrels: grade by query id and document id.
    """

    __test__ = False

    path: Path
    split: str
    queries: dict[str, str]
    qrels: Qrels

    @property
    def name(self) -> str:
        """Folder or file name without ending."""
        return self.path.name.removesuffix(".zip")


def load_collection(path: str | Path, split: str | None = None) -> TestCollection:
    """Read queries and judgements of a BEIR folder or zip.

    Args:
        path: folder or zip with queries.jsonl and qrels/SPLIT.tsv.
        split: None takes test, or else dev, validation, train.

    Raises:
        InputError: files are missing or malformed; the message names file and line.
    """
    root = Path(path)
    if not root.exists():
        raise InputError(f"no such file or folder: {root}; wanted a BEIR folder or zip")
    split, judgements = _open_qrels(root, split)
    qrels = _read_qrels(judgements)
    texts = _read_queries(root)
    if missing := [query for query in qrels if query not in texts]:
        raise InputError(f"{root}: judged query {missing[0]!r} is not in queries.jsonl ({len(missing)} such)")
    return TestCollection(root, split, {query: texts[query] for query in qrels}, qrels)


def load_qrels(path: str | Path, split: str | None = None) -> Qrels:
    """Judgements of a BEIR folder or zip, or of one file: BEIR lines with a header, or TREC "query 0 document grade".

    Raises:
        InputError: a missing file, or a malformed line, which the message names.
    """
    root = Path(path)
    if root.is_dir() or root.suffix == ".zip":
        return _read_qrels(_open_qrels(root, split)[1])
    return _read_qrels(open_file(root))


def _open_qrels(root: Path, split: str | None) -> tuple[str, ByteStream]:
    for name in (split,) if split else SPLITS:
        if stream := open_member(root, f"qrels/{name}.tsv"):
            return name, stream
    found = [name for name in SPLITS if has_member(root, f"qrels/{name}.tsv")]
    hint = f"found {', '.join(found)}: choose one with --split" if found else "wanted a BEIR folder or zip"
    raise InputError(f"{root}: no qrels/{split or 'test'}.tsv; {hint}")


def _read_qrels(stream: ByteStream) -> Qrels:
    """BEIR lines "query, document, grade" under a header, or TREC lines with a 0 in between."""
    qrels: Qrels = {}
    for number, line in stream.lines():
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        columns = text.split("\t") if "\t" in text else text.split()
        if number == 1 and columns[-1].strip() == "score":
            continue
        try:
            query, document, grade = columns[0], columns[-2], int(columns[-1])
            given = qrels.setdefault(query, {}).setdefault(document, grade)
        except (IndexError, ValueError):
            raise InputError(
                f"{stream.name}, line {number}: wanted query id, document id, grade, with tabs; or query, 0, "
                "document, grade; the grade is a whole number"
            ) from None
        if given != grade:
            raise InputError(
                f"{stream.name}, line {number}: grade {grade} for query {query!r} and document {document!r}, which had "
                f"{given} before: keep one of the lines"
            )
    if not qrels:
        raise InputError(f"{stream.name} holds no judgements")
    return qrels


def _read_queries(root: Path) -> dict[str, str]:
    stream = open_member(root, "queries.jsonl")
    if stream is None:
        raise InputError(f"{root}: no queries.jsonl; wanted a BEIR folder or zip")
    queries = {}
    for place, record in json_objects(stream):
        if "_id" not in record or not isinstance(record.get("text"), str):
            raise InputError(f"{place}: wanted the fields '_id' and 'text'")
        queries[str(record["_id"])] = record["text"]
    return queries
