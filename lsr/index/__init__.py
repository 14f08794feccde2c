"""Which documents score highest? Sparse vectors in, top-k out; and how that lives on disk.

`ExactIndex` scores every document and is the oracle; `SeismicIndex` scores only promising blocks. `Collection` is an
index folder open for search: immutable segments named by a manifest; `CollectionWriter` makes one.
"""

from lsr.index.collection import Collection
from lsr.index.exact import ExactIndex
from lsr.index.manifest import EncoderInfo, Manifest
from lsr.index.results import TopK
from lsr.index.seismic import SeismicIndex, SeismicSettings
from lsr.index.writer import CollectionWriter

__all__ = [
    "Collection",
    "CollectionWriter",
    "EncoderInfo",
    "ExactIndex",
    "Manifest",
    "SeismicIndex",
    "SeismicSettings",
    "TopK",
]
