"""What does a judged test collection hold? Queries and relevance grades, in BEIR or MS MARCO layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from zipfile import is_zipfile

from lsr.corpus import ByteStream, has_member, open_member
from lsr.corpus.layouts import irds
from lsr.corpus.layouts.products import esci_locale
from lsr.corpus.streams import open_file
from lsr.corpus.values import identifier, whole_number
from lsr.errors import InputError
from lsr.eval.collections import products
from lsr.eval.collections.topics import read_queries, read_topics, unique_topics
from lsr.eval.columns import columns
from lsr.formats import read_ground_truth

Qrels = dict[str, dict[str, int]]
SPLITS = ("test", "dev", "validation", "train")
DEV_FIRST = ("dev", "test", "validation", "train")  # BEIR's msmarco: published numbers use dev
GRADE_HEADERS = ("score", "grade", "relevance", "rel", "label")  # last word of a first line that names columns
MOST_GRADE = 1_000_000  # trec_eval makes an array as long as the largest grade
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
        """Folder or file name without ending; the whole of an irds: name."""
        return str(self.path) if irds.is_irds(self.path) else self.path.name.removesuffix(".zip")


def load_collection(path: str | Path, split: str | None = None) -> TestCollection:
    """Read queries and judgements of a BEIR folder or zip, or of a folder in MS MARCO's passage layout.

    Queries without judgements are left out.

    Args:
        path: folder or zip with queries.jsonl and qrels/SPLIT.tsv; a folder with collection.tsv, queries.SPLIT.tsv and
            qrels.SPLIT.tsv; a folder with documents, topics.* and qrels.* of TREC; a folder of WANDS or ESCI.
            Or "irds:NAME", a collection of ir_datasets.
        split: None takes test, or else dev, validation, train (dev first where the collection is called msmarco); in
            MS MARCO's layout dev.small, or else dev, train.

    Raises:
        InputError: files are missing or malformed; the message names file and line.
    """
    if is_judgements(Path(path)):
        raise InputError(
            f"{path} is neither a folder nor a zip, wanted a judged collection; if it holds judgements, give the "
            "queries too, --topics FILE, and with them --index DIR"
        )
    root, split, qrels, texts = _read(Path(path), split)
    if missing := [query for query in qrels if query not in texts]:
        raise InputError(f"{root}: judged query {missing[0]!r} is not among the queries ({len(missing)} such)")
    return TestCollection(root, split, {query: texts[query] for query in qrels}, qrels)


def load_judged(path: str | Path, split: str | None = None) -> TestCollection:
    """Judgements without queries: of a collection, or of a file of judgements (BEIR, TREC, or .gt ground truth).

    Raises:
        InputError: as `load_collection`.
    """
    root = Path(path)
    if is_judgements(root):
        return TestCollection(root, split or root.stem, {}, load_qrels(root))
    root, split, qrels, _ = _read(root, split, with_queries=False)
    return TestCollection(root, split, {}, qrels)


def is_judgements(path: Path) -> bool:
    """Whether ``path`` is a file of judgements alone: a file that is no zip."""
    return path.is_file() and path.suffix != ".zip" and not is_zipfile(path)


def sub_collections(path: str | Path) -> list[Path]:
    """The folders of a folder of collections, such as the twelve of cqadupstack; none where it is a collection."""
    root = Path(path)
    return [] if (root / "queries.jsonl").exists() else sorted(file.parent for file in root.glob("*/queries.jsonl"))


def _read(root: Path, split: str | None, with_queries: bool = True) -> tuple[Path, str, Qrels, dict[str, str]]:
    """Root, split, judgements and query texts, in whatever layout."""
    if irds.is_irds(root):
        return root, split or "all", irds.read_qrels(root), irds.read_queries(root) if with_queries else {}
    if not root.exists() and not esci_locale(root):
        raise InputError(f"no such file or folder: {root}; wanted a BEIR folder or zip")
    if esci_locale(root):
        texts, qrels = products.read_esci(root, split or "test")
        return root, split or "test", qrels, texts
    if products.is_wands(root):
        texts, qrels = products.read_wands(root)
        return root, "all", qrels, texts
    if (root / "collection.tsv").exists() or (root / "collection.tsv.gz").exists():
        split, judgements = _open_split(root, split, MSMARCO_SPLITS, "qrels.{}.tsv")
        return root, split, _read_qrels(judgements), read_topics(root / f"queries.{split}.tsv") if with_queries else {}
    if trec := trec_files(root, split):
        split, topics, judgements_file = trec
        return root, split, _read_qrels(open_file(judgements_file)), read_topics(topics) if with_queries else {}
    split, judgements = _open_qrels(root, split)
    return root, split, _read_qrels(judgements), _read_queries(root) if with_queries else {}


def trec_files(root: Path, split: str | None) -> tuple[str, Path, Path] | None:
    """(split, topics, qrels) of a folder with files topics.* and qrels.*, as TREC gives them out; None elsewhere.

    A split is what is between "qrels." and the ending; topics.SPLIT.* belongs to it, or else the only topics.

    Raises:
        InputError: several splits and none named, or no topics for it.
    """
    files = {_split_of(path): path for path in sorted(root.glob("qrels*")) if path.is_file()} if root.is_dir() else {}
    if not files or (root / "queries.jsonl").exists():
        return None
    if split not in files and len(files) > 1:
        raise InputError(f"{root}: found judgements {', '.join(files)}: choose one with --split")
    split = split or next(iter(files))
    topics = [path for path in sorted(root.glob("topics*")) if path.is_file()]
    own = [path for path in topics if _split_of(path) == split] or topics
    if split not in files or len(own) != 1:
        raise InputError(f"{root}: found {len(own)} files of topics for {split!r}; wanted one called topics.{split}.*")
    return split, own[0], files[split]


def _split_of(path: Path) -> str:
    parts = path.name.removesuffix(".gz").split(".")
    return ".".join(parts[1:-1]) or "all"


def load_qrels(path: str | Path, split: str | None = None) -> Qrels:
    """Judgements of a collection, or of one file: BEIR lines with a header, TREC "query 0 document grade", or .gt.

    In a .gt file of true neighbours, every row given for a query is relevant; queries and rows are known by number.

    Raises:
        InputError: a missing file, or a malformed line, which the message names.
    """
    root = Path(path)
    if root.is_dir() or root.suffix == ".zip" or not is_judgements(root) or esci_locale(root) or irds.is_irds(root):
        return _read(root, split, with_queries=False)[2]
    if root.suffix == ".gt":
        rows = read_ground_truth(root).rows.tolist()
        return {str(query): {str(row): 1 for row in own} for query, own in enumerate(rows)}
    return _read_qrels(open_file(root))


def _open_qrels(root: Path, split: str | None) -> tuple[str, ByteStream]:
    if root.is_dir() and (parts := sub_collections(root)):
        names = ", ".join(part.name for part in parts[:3])
        raise InputError(f"{root} holds {len(parts)} collections ({names}, ...): give one, {parts[0]}")
    order = DEV_FIRST if root.name.removesuffix(".zip") == "msmarco" else SPLITS
    return _open_split(root, split, order, "qrels/{}.tsv")


def _open_split(root: Path, split: str | None, order: Sequence[str], pattern: str) -> tuple[str, ByteStream]:
    for name in (split,) if split else order:
        if stream := open_member(root, pattern.format(name)):
            return name, stream
    found = [name for name in order if has_member(root, pattern.format(name))]
    found = found or [path.stem for path in sorted((root / "qrels").glob("*.tsv"))]
    hint = f"found {', '.join(found)}: choose one with --split" if found else "wanted a BEIR folder or zip"
    raise InputError(f"{root}: no {pattern.format(split or order[0])}; {hint}")


def load_topics(path: str | Path, split: str | None = None) -> dict[str, dict[str, list[str]]]:
    """Topics of each relevant document, by query: the second of four columns of judgements; none where there are three.

    Raises:
        InputError: as `load_qrels`.
    """
    root = Path(path)
    if is_judgements(root):
        return {} if root.suffix == ".gt" else _judged_topics(open_file(root))
    if irds.is_irds(root) or esci_locale(root) or products.is_wands(root) or (root / "collection.tsv").exists():
        return {}
    if trec := trec_files(root, split):
        return _judged_topics(open_file(trec[2]))
    return _judged_topics(_open_qrels(root, split)[1])


def _judged_topics(stream: ByteStream) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for one in _judgements(stream):
        if one.grade > 0 and one.topic:
            found.setdefault(one.query, {}).setdefault(one.document, []).append(one.topic)
    return found


def _read_qrels(stream: ByteStream) -> Qrels:
    """The grade of each document: the highest where it has one a topic."""
    qrels: Qrels = {}
    for one in _judgements(stream):
        own = qrels.setdefault(one.query, {})
        own[one.document] = max(one.grade, own.get(one.document, one.grade))
    if not qrels:
        raise InputError(f"{stream.name} holds no judgements")
    return qrels


class _Judgement(NamedTuple):
    query: str
    topic: str  # "" in BEIR's layout
    document: str
    grade: int


def _judgements(stream: ByteStream) -> Iterator[_Judgement]:
    """BEIR lines "query, document, grade", perhaps under a header, or TREC lines with a topic, mostly 0, in between."""
    grades: dict[tuple[str, str, str], int] = {}
    first = True
    with closing(stream):
        for place, line in stream.text_lines():
            try:
                found = columns(line, (3, 4))
                if not (first and found[-1:] and found[-1] in GRADE_HEADERS):
                    yield _judgement(found, grades)
            except InputError as fault:
                raise InputError(f"{place}: {fault}") from None
            first = False


def _judgement(found: list[str], grades: dict[tuple[str, str, str], int]) -> _Judgement:
    """One line; ``grades`` are those of the lines before."""
    try:
        if len(found) not in (3, 4):
            raise InputError(f"found {len(found)} columns")
        query, document = identifier(found[0], "query id"), identifier(found[-2], "document id")
        grade = whole_number(found[-1].strip(" "), "grade", -MOST_GRADE, MOST_GRADE)
    except InputError as fault:
        raise InputError(
            "wanted query id, document id, grade, with tabs; or query, 0, document, grade; the grade is a whole number "
            f"({fault})"
        ) from None
    topic = found[1] if len(found) == 4 else ""
    before = grades.setdefault((query, topic, document), grade)
    if before != grade:
        raise InputError(
            f"grade {grade} for query {query!r} and document {document!r}, which had {before} before: keep one of the "
            "lines"
        )
    return _Judgement(query, topic, document, grade)


def _read_queries(root: Path) -> dict[str, str]:
    stream = open_member(root, "queries.jsonl")
    if stream is None:
        raise InputError(f"{root}: no queries.jsonl; wanted a BEIR folder or zip")
    with closing(stream):
        return unique_topics(read_queries(stream))
