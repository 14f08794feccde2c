"""What does a judged test collection hold? Queries and relevance grades, in BEIR or MS MARCO layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lsr.corpus import ByteStream, has_member, json_objects, open_member
from lsr.corpus.streams import open_file
from lsr.errors import InputError

Qrels = dict[str, dict[str, int]]
SPLITS = ("test", "dev", "validation", "train")
DEV_FIRST = ("dev", "test", "validation", "train")  # BEIR's msmarco: published numbers use dev
MSMARCO_SPLITS = ("dev.small", "dev", "train")


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
    """Read queries and judgements of a BEIR folder or zip, or of a folder in MS MARCO's passage layout.

    Queries without judgements are left out.

    Args:
        path: folder or zip with queries.jsonl and qrels/SPLIT.tsv; or a folder with collection.tsv, queries.SPLIT.tsv
            and qrels.SPLIT.tsv.
        split: None takes test, or else dev, validation, train (dev first where the collection is called msmarco); in
            MS MARCO's layout dev.small, or else dev, train.

    Raises:
        InputError: files are missing or malformed; the message names file and line.
    """
    root = Path(path)
    if not root.exists():
        raise InputError(f"no such file or folder: {root}; wanted a BEIR folder or zip")
    if (root / "collection.tsv").exists() or (root / "collection.tsv.gz").exists():
        split, judgements = _open_split(root, split, MSMARCO_SPLITS, "qrels.{}.tsv")
        qrels, texts = _read_qrels(judgements), read_topics(root / f"queries.{split}.tsv")
    else:
        split, judgements = _open_qrels(root, split)
        qrels, texts = _read_qrels(judgements), _read_queries(root)
    if missing := [query for query in qrels if query not in texts]:
        raise InputError(f"{root}: judged query {missing[0]!r} is not among the queries ({len(missing)} such)")
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
    if root.is_dir() and (parts := sorted(path.parent.name for path in root.glob("*/queries.jsonl"))):
        raise InputError(
            f"{root} holds {len(parts)} collections ({', '.join(parts[:3])}, ...): give one, {root / parts[0]}"
        )
    order = DEV_FIRST if root.name.removesuffix(".zip") == "msmarco" else SPLITS
    return _open_split(root, split, order, "qrels/{}.tsv")


def _open_split(root: Path, split: str | None, order: Sequence[str], pattern: str) -> tuple[str, ByteStream]:
    for name in (split,) if split else order:
        if stream := open_member(root, pattern.format(name)):
            return name, stream
    found = [name for name in order if has_member(root, pattern.format(name))]
    hint = f"found {', '.join(found)}: choose one with --split" if found else "wanted a BEIR folder or zip"
    raise InputError(f"{root}: no {pattern.format(split or order[0])}; {hint}")


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


def read_topics(path: Path) -> dict[str, str]:
    """Query texts by id from lines "id TAB text"; plain or .gz.

    Raises:
        InputError: a missing file, a line without a tab, or an id twice; the message names the line.
    """
    zipped = path.with_name(f"{path.name}.gz")
    stream = open_file(zipped if zipped.exists() and not path.exists() else path)
    topics: dict[str, str] = {}
    for number, line in stream.lines():
        name, tab, text = line.decode("utf-8", "replace").rstrip("\r\n").partition("\t")
        if not name or not tab or name in topics:
            fault = f"the id {name!r} was given before" if name in topics else "found no id followed by a tab"
            raise InputError(f"{stream.name}, line {number}: {fault}; wanted id, tab, text, each id once")
        topics[name] = text
    return topics


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
