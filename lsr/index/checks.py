"""Do the records of a collection fit together, and stay inside its folder? Looked at once, when they are read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from lsr.corpus.dense import dense_type
from lsr.corpus.schema import TYPES
from lsr.index.storage.catalogue import Key
from lsr.index.storage.files import is_inside
from lsr.index.storage.records import State, batch_name, rows_of

MOST_TERMS = 2**32
Sizes = Mapping[str, int]  # rows of segments and batches


def check(state: State, keys: Collection[Key]) -> None:
    """Look at what the records called ``keys`` say, beside all others of ``state``.

    Raises:
        ValueError: it cannot be; says what.
    """
    kinds = {key.kind for key in keys}
    for own, look in WHOLE:
        if kinds & own:
            look(state)
    sizes = {name: info.documents for name, info in state.segments.items()}
    sizes |= {batch_name(number): len(batch.ids) for number, batch in state.batches.items()}
    for key in keys:
        if key.kind in RECORDS:
            RECORDS[key.kind](state, key.generation, sizes)


def _about(state: State) -> None:
    about, segments = state.about, state.segments
    if about.kept < 1:
        raise ValueError(f"it keeps {about.kept:,} generations")
    files = [name for info in segments.values() for name in (*info.files, *filter(None, [info.fields]))]
    folders = [*filter(None, [about.encoder_folder]), *segments]
    for path in (*folders, *about.encoder_files, *files):
        if not is_inside(path):
            raise ValueError(f"it names {path!r:.200}, which is not inside")


def _terms(state: State) -> None:
    about, dim = state.about, state.dim
    following = about.base_terms
    for number in sorted(state.terms):
        if state.terms[number].first != following:
            raise ValueError(f"terms from {state.terms[number].first:,} on after {following:,}")
        following += len(state.terms[number].names)
    if not 1 <= about.encoder.dim <= dim <= MOST_TERMS or not 0 <= following <= dim:
        raise ValueError(f"{following:,} terms of {dim:,}")
    for found in (*(info.dim for info in state.segments.values()), *(batch.dim for batch in state.batches.values())):
        if not 1 <= found <= dim:
            raise ValueError(f"vectors over {found:,} terms in a collection over {dim:,}")


def _types(state: State) -> None:
    for name, kind in state.types.items():
        if kind not in TYPES and dense_type(kind) is None:
            raise ValueError(f"the field {name!r:.60} has the unknown type {kind!r:.60}")


def _batch(state: State, number: int, sizes: Sizes) -> None:
    del sizes
    batch = state.batches[number]
    columns = batch.columns.values()
    lengths = {len(batch.indptr) // 8 - 1, *map(len, (batch.ids, batch.titles, batch.texts, *columns))}
    if len(lengths) > 1:
        raise ValueError(f"columns of {min(lengths):,} to {max(lengths):,} documents")
    _known(batch.columns, state.types)


def _corpus(state: State, number: int, sizes: Sizes) -> None:
    del sizes
    corpus = state.corpora[number]
    if 2 * len(corpus.terms) != len(corpus.counts):
        raise ValueError(f"{len(corpus.counts):,} bytes of counts for {len(corpus.terms):,} of terms")
    _rows(corpus.terms, state.dim, "counts terms")


def _deletions(state: State, number: int, sizes: Sizes) -> None:
    for name, rows in state.deletions[number].parts.items():
        _rows(rows, sizes.get(name, 0), "deletes rows")


def _updates(state: State, number: int, sizes: Sizes) -> None:
    for name, fields in state.updates[number].parts.items():
        _known(fields, state.types)
        for rows, values in fields.values():
            _rows(rows, sizes.get(name, 0), "changes rows")
            if len(rows) != 4 * len(values):
                raise ValueError(f"{len(values):,} values for {len(rows) // 4:,} documents")


def _rows(content: bytes, size: int, verb: str) -> None:
    if len(content) % 4 or (content and int(rows_of(content).max()) >= size):
        raise ValueError(f"it {verb} that are not there")


def _known(names: Collection[str], types: Mapping[str, str]) -> None:
    if unknown := [name for name in names if name not in types]:
        raise ValueError(f"the field {unknown[0]!r:.60} has no type")


WHOLE: tuple[tuple[set[str], Callable[[State], None]], ...] = (  # kinds by whose change others may not fit any more
    ({"about", "segment"}, _about),
    ({"about", "segment", "batch", "terms"}, _terms),
    ({"schema"}, _types),
)
RECORDS = {"batch": _batch, "corpus": _corpus, "deletions": _deletions, "updates": _updates}
