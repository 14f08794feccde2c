"""Which vectors do files hold? One reader for every format, streaming, several files with one vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lsr.corpus.sources import Source, paths_of
from lsr.errors import InputError, reason
from lsr.formats.registry import FORMATS, Format, format_of
from lsr.formats.vectors import VectorBatch, Vocabulary

FolderFormat = Callable[[Path], Format | None]


class VectorSource:
    """The vectors of one or several files or folders, in order.

    Attributes:
        paths: of the files, or of folders that hold vectors as one.
        format_names: of each.
        vocabulary: what is known of the terms so far.
        size: bytes to read in all.
        position: bytes read so far.
        rounded: how many of the weights read so far were whole numbers that float32 does not hold.
    """

    def __init__(
        self,
        sources: Source | Iterable[Source],
        format_name: str | None = None,
        folder_format: FolderFormat = lambda path: None,
    ) -> None:
        """Look at the sources without reading them; one may stand alone.

        Args:
            sources: files, or folders of files, or "-" for standard input.
            format_name: None or "auto" takes what the names say.
            folder_format: of folders that hold vectors as one.

        Raises:
            InputError: no such file, it may not be read, or its format is unknown.
        """
        self._arguments = paths_of(sources), format_name, folder_format
        self._files = [pair for source in self._arguments[0] for pair in _files(source, format_name, folder_format)]
        self.paths, self.format_names = [path for path, _ in self._files], [entry.name for _, entry in self._files]
        self.vocabulary = Vocabulary()
        self.size = sum(map(size_of, self.paths))
        self.position = self.rounded = 0

    def again(self) -> VectorSource:
        """The same source from the start.

        Raises:
            InputError: it can be read once (standard input, a pipe).
        """
        for path in self.paths:
            if not path.is_file() and not path.is_dir():
                name = "standard input" if str(path) == "-" else path
                raise InputError(f"{name} is read once, and --bits reads twice: write a file first, or give --scale")
        return VectorSource(*self._arguments)

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
            done += size_of(path)
            self.position = done


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; of standard input nobody knows."""
    if not path.is_dir():
        return 0 if str(path) == "-" else path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _files(source: Path, format_name: str | None, folder_format: FolderFormat) -> list[tuple[Path, Format]]:
    try:
        if str(source) != "-" and not source.exists():
            raise InputError(f"no such file or folder: {source}")
        if not source.is_dir():
            return [(source, format_of(source, format_name))]
        if entry := folder_format(source):
            return [(source, entry)]
        return _parts(source, format_name)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {source}: {reason(error)}; give a file or folder that you may read") from None


def _parts(folder: Path, format_name: str | None) -> list[tuple[Path, Format]]:
    endings = tuple(ending for entry in FORMATS.values() for ending in entry.endings)
    found = (part for part in sorted(folder.iterdir()) if part.is_file() and not part.name.startswith("."))
    parts = [part for part in found if part.name.removesuffix(".gz").endswith(endings)]
    if not parts:
        raise InputError(f"{folder}: found no vectors; wanted files that end in {', '.join(dict.fromkeys(endings))}")
    return [(part, format_of(part, format_name)) for part in parts]
