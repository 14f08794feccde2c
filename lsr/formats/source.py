"""Which vectors do files hold? One reader for every format, streaming, several files with one vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from lsr.corpus.sources import Source, paths_of
from lsr.errors import InputError
from lsr.formats.registry import FORMATS, Format, format_of
from lsr.formats.vectors import VectorBatch, Vocabulary


class VectorSource:
    """The vectors of one or several files or folders, in order.

    Attributes:
        vocabulary: what is known of the terms so far.
        size: bytes to read in all.
        position: bytes read so far.
        rounded: how many of the weights read so far were whole numbers that float32 does not hold.
    """

    def __init__(self, sources: Source | Iterable[Source], format_name: str | None = None) -> None:
        """Look at the sources without reading them; one may stand alone.

        Raises:
            InputError: no such file, or of an unknown format.
        """
        self._sources, self._format_name = paths_of(sources), format_name
        self._files = [pair for source in self._sources for pair in _files(source, format_name)]
        self.vocabulary = Vocabulary()
        self.size = sum(path.stat().st_size for path, _ in self._files)
        self.position = self.rounded = 0

    def again(self) -> VectorSource:
        """The same source from the start."""
        return VectorSource(self._sources, self._format_name)

    @property
    def formats(self) -> list[Format]:
        """Of each file."""
        return [entry for _, entry in self._files]

    def __iter__(self) -> Iterator[VectorBatch]:
        """Yield batches of vectors.

        Raises:
            InputError: what cannot be read, with its place.
        """
        done = 0
        for path, entry in self._files:
            for batch in entry.read(path, self.vocabulary):
                self.position = done + batch.done
                self.rounded += batch.rounded
                yield batch
            done += path.stat().st_size
            self.position = done


def _files(source: Path, format_name: str | None) -> list[tuple[Path, Format]]:
    if not source.exists():
        raise InputError(f"no such file or folder: {source}")
    if not source.is_dir():
        return [(source, format_of(source, format_name))]
    endings = tuple(ending for entry in FORMATS.values() for ending in entry.endings)
    parts = sorted(part for part in source.iterdir() if part.name.removesuffix(".gz").endswith(endings))
    if not parts:
        raise InputError(f"{source}: found no vectors; wanted files that end in {', '.join(dict.fromkeys(endings))}")
    return [(part, format_of(part, format_name)) for part in parts]
