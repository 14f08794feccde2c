"""What can be asked of an index folder? Search over all its segments, documents by row."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

from lsr.corpus import Document
from lsr.errors import InputError, MismatchError, StorageError
from lsr.index import manifest as manifests
from lsr.index.engines import IndexSettings
from lsr.index.results import TopK, check_queries, merge
from lsr.index.segment import Segment
from lsr.sparse import SparseMatrix


class Collection:
    """An index folder open for search. Rows number the documents from 0 in the order they were indexed.

    Args:
        folder: the index.
        fingerprint: of the encoder that will make the queries; None skips the check.

    Raises:
        StorageError: no finished index, another format version, or damage.
        MismatchError: the index was made by another encoder.
    """

    def __init__(self, folder: Path, fingerprint: str | None = None) -> None:
        self.folder = folder
        self.manifest = manifests.read(folder)
        self._check_encoder(fingerprint)
        manifests.check_sizes(folder, self.manifest)
        settings = _settings(folder, self.manifest)
        dim = self.manifest.encoder.dim
        self._segments = [Segment(folder / info.folder, dim, settings) for info in self.manifest.segments]
        self._ends = list(accumulate(len(segment) for segment in self._segments))

    @staticmethod
    def verify(folder: Path) -> manifests.Manifest:
        """Compare every file with its checksum; the manifest.

        Raises:
            StorageError: a file is missing or damaged.
        """
        manifest = manifests.read(folder)
        manifests.check_sums(folder, manifest)
        return manifest

    def __len__(self) -> int:
        return self.manifest.documents

    @property
    def encoder_folder(self) -> Path:
        """Where the index keeps its encoder."""
        return self.folder / self.manifest.encoder_folder

    def search(self, queries: SparseMatrix, k: int, exact: bool = False) -> TopK:
        """The best k documents of each query; scores are exact inner products, ties go to the lower row.

        Args:
            queries: made by the index's encoder.
            k: at least 1, cut to the number of documents; places without a document hold row -1.
            exact: leave nothing out that could matter.

        Raises:
            MismatchError: queries over another vocabulary.
            InputError: k below 1.
        """
        check_queries(queries, self.manifest.encoder.dim, k)
        k = min(k, max(1, len(self)))
        parts = [segment.search(queries, k, exact) for segment in self._segments]
        return merge(parts, [0, *self._ends[:-1]], k)

    def document(self, row: int) -> Document:
        """The document at ``row``."""
        segment, within = self._locate(row)
        return segment.documents[within]

    def document_id(self, row: int) -> str:
        """The id of the document at ``row``."""
        segment, within = self._locate(row)
        return segment.documents.id(within)

    def vector(self, row: int) -> SparseMatrix:
        """The document vector at ``row``, as a matrix of one row."""
        segment, within = self._locate(row)
        return segment.vectors.slice(within, within + 1)

    def _locate(self, row: int) -> tuple[Segment, int]:
        if not 0 <= row < len(self):
            raise InputError(f"row {row}: wanted 0 to {len(self) - 1:,}")
        at = bisect_right(self._ends, row)
        return self._segments[at], row - (self._ends[at - 1] if at else 0)

    def _check_encoder(self, fingerprint: str | None) -> None:
        made_by = self.manifest.encoder
        if fingerprint not in (None, made_by.fingerprint):
            raise MismatchError(
                f"{self.folder} was indexed with {made_by.name} ({made_by.fingerprint}), the encoder given is "
                f"{fingerprint}: search with the index's own encoder, or index again with the new one"
            )


def _settings(folder: Path, manifest: manifests.Manifest) -> IndexSettings:
    try:
        return IndexSettings.from_dict(manifest.settings)
    except (TypeError, InputError) as error:
        raise StorageError(f"{folder / manifests.NAME} has unreadable settings ({error}): index again") from None
