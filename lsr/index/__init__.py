"""Which documents score highest? Sparse vectors in, top-k out; and how that lives on disk.

`WindowedIndex` is the engine: approximate or exact, sums in order of impact. `SeismicIndex` searches blocks with
summaries. `ExactIndex` scores every document and is the oracle of both. `Collection` is an index folder open for
search: immutable segments named by a manifest; `CollectionWriter` makes one.
"""

from typing import TYPE_CHECKING

from lsr.index.allowed import Allowed
from lsr.index.collection import Collection
from lsr.index.engines import IndexSettings
from lsr.index.exact import ExactIndex
from lsr.index.plan import Point, Tuning
from lsr.index.results import TopK
from lsr.index.settings import SeismicSettings, WindowedSettings
from lsr.index.storage.manifest import EncoderInfo, Manifest
from lsr.index.storage.writer import CollectionWriter, store_tuning
from lsr.index.windowed.engine import WindowedIndex
from lsr.on_first_use import on_first_use

if TYPE_CHECKING:
    from lsr.index.seismic.engine import SeismicIndex

__getattr__ = on_first_use(__name__, {"seismic.engine": ("SeismicIndex",)})

__all__ = [
    "Allowed",
    "Collection",
    "CollectionWriter",
    "EncoderInfo",
    "ExactIndex",
    "IndexSettings",
    "Manifest",
    "Point",
    "SeismicIndex",
    "SeismicSettings",
    "TopK",
    "Tuning",
    "WindowedIndex",
    "WindowedSettings",
    "store_tuning",
]
