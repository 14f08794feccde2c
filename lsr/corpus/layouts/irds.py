"""How is a collection of ir_datasets read? As ``irds:NAME``, from what lies on this disk; nothing is fetched unasked.

MacAvaney et al., Simplified data wrangling with ir_datasets, SIGIR 2021. The package keeps its files below
``~/.ir_datasets``, or ``$IR_DATASETS_HOME``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsr.corpus.document import Document, checked
from lsr.corpus.streams import DAMAGE
from lsr.errors import InputError, MissingExtraError

PREFIX = "irds:"


def is_irds(source: str | Path) -> bool:
    """Whether a source is a name of ir_datasets."""
    return str(source).startswith(PREFIX)


def read_documents(source: str | Path) -> Iterator[tuple[str, Document]]:
    """(place, document) of every document.

    Raises:
        MissingExtraError: ir_datasets is not installed.
        InputError: no such collection, one without documents, or files that are not here.
    """
    dataset = _dataset(source, "docs")
    with _only_local(source):
        for number, found in enumerate(dataset.docs_iter(), 1):
            place = f"{source}, document {number}"
            try:
                yield place, _document(found)
            except InputError as fault:
                raise InputError(f"{place}: {fault}") from None


def read_queries(source: str | Path) -> dict[str, str]:
    """Query texts by id; as `read_documents`."""
    dataset = _dataset(source, "queries")
    with _only_local(source):
        return {query.query_id: query.default_text() for query in dataset.queries_iter()}


def read_qrels(source: str | Path) -> dict[str, dict[str, int]]:
    """Grades by query and document; as `read_documents`."""
    dataset = _dataset(source, "qrels")
    qrels: dict[str, dict[str, int]] = {}
    with _only_local(source):
        for judged in dataset.qrels_iter():
            qrels.setdefault(judged.query_id, {})[judged.doc_id] = int(judged.relevance)
    return qrels


def fetch(source: str | Path) -> None:
    """Let ir_datasets download what a collection needs, by its own rules and under its own licences.

    Raises:
        MissingExtraError: ir_datasets is not installed.
        InputError: no such collection, or a download failed.
    """
    dataset = _load(source)
    for part in ("docs", "queries", "qrels"):
        try:
            if getattr(dataset, f"has_{part}")():
                next(iter(getattr(dataset, f"{part}_iter")()), None)
        except (OSError, RuntimeError) as error:
            raise InputError(f"{source}: the download failed ({error})") from None


def _dataset(source: str | Path, part: str) -> Any:
    dataset = _load(source)
    if not getattr(dataset, f"has_{part}")():
        raise InputError(f"{source} has no {part}; name a part of it that has, for example {source}/test")
    return dataset


def _load(source: str | Path) -> Any:
    name = str(source).removeprefix(PREFIX)
    try:
        import ir_datasets
    except ImportError:
        raise MissingExtraError("ir_datasets", "irds", str(source)) from None
    try:
        return ir_datasets.load(name)
    except KeyError:
        raise InputError(f"ir_datasets knows no collection {name!r}; see ir-datasets.com for the names") from None


def _document(found: Any) -> Document:
    title = getattr(found, "title", "") or ""
    text = found.text if hasattr(found, "text") else found.default_text().removeprefix(title).strip()
    return checked(Document(found.doc_id, title, text))


@contextmanager
def _only_local(source: str | Path) -> Iterator[None]:
    """While this lasts, ir_datasets reads files that it has and refuses to fetch others."""
    from ir_datasets.util.download import Download

    path, stream = Download.path, Download.stream

    def local_path(self: Any, force: bool = True) -> Any:
        if force and not _is_here(self):
            raise InputError(_what_is_missing(source, self))
        return path(self, force)

    def local_stream(self: Any) -> Any:
        if not _is_here(self):
            raise InputError(_what_is_missing(source, self))
        return stream(self)

    Download.path, Download.stream = local_path, local_stream
    try:
        yield
    except DAMAGE as error:
        raise InputError(f"{source}: its files cannot be read ({error}); fetch them again") from None
    finally:
        Download.path, Download.stream = path, stream


def _is_here(download: Any) -> bool:
    kept = download._cache_path is not None and Path(download._cache_path).exists()
    return kept or any(Path(mirror.path(False)).exists() for mirror in download.mirrors if hasattr(mirror, "path"))


def _what_is_missing(source: str | Path, download: Any) -> str:
    addresses = [getattr(mirror, "url", None) or repr(mirror) for mirror in download.mirrors]
    size = f" ({download._size_hint:,} bytes)" if download._size_hint else ""
    kept = f" and keep it as {download._cache_path}" if download._cache_path else ""
    return (
        f"{source} is not on this disk: ir_datasets would fetch {addresses[-1] if addresses else 'it'}{size}{kept}; "
        "add --download to let it"
    )
