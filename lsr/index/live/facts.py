"""What does a collection hold, in numbers? Told by its catalogue alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from lsr.corpus.passages import without_reserved
from lsr.index.allowed import Allowed
from lsr.index.live.store import Store
from lsr.index.storage.places import size_of


class Facts(NamedTuple):
    """A collection in numbers.

    Attributes:
        documents: that searches find.
        deleted: rows that take room until segments are merged.
        segments: on the disk.
        recent: documents that are in no segment yet.
        generation: of the newest change.
        bytes: of all files.
        reclaimable_bytes: about what deleted documents take; `lsr compact` gives it back.
        nonzeros: stored weights.
        terms: of the vocabulary.
        encoder, fingerprint: what made the vectors.
        engine, settings: that search them.
        fields: types by name.
        format: version of the files.
        version: of lsr that made the collection.
    """

    documents: int
    deleted: int
    segments: int
    recent: int
    generation: int
    bytes: int
    reclaimable_bytes: int
    nonzeros: int
    terms: int
    encoder: str
    fingerprint: str
    engine: str
    settings: dict[str, Any]
    fields: dict[str, str]
    format: int
    version: str


def facts_of(folder: Path) -> Facts:
    """The facts of the collection in ``folder``.

    Raises:
        StorageError: no collection, another format version, or damage.
    """
    with Store(folder) as store:
        current, contents = store.current, store.contents
        state, about = contents.state, store.about
        dead = {name: sum(rows.size for _, rows in contents.deletions.get(name, ())) for name in state.segments}
        taken = sum(dead[name] * info.bytes // max(1, info.documents) for name, info in state.segments.items())
        settings = dict(about.settings)
        return Facts(
            len(current),
            current.count(Allowed(current.alive.mask == 0)),
            len(state.segments),
            sum(len(set(batch.ids)) for batch in state.batches.values()),
            current.number,
            size_of(folder),
            taken,
            current.summary.nonzeros,
            current.dim,
            about.encoder.name,
            about.encoder.fingerprint,
            str(settings.pop("engine")),
            settings,
            dict(without_reserved(current.fields)),
            3 if contents.database else 2,
            about.lsr,
        )
