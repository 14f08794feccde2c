"""Which documents score highest? Sparse vectors in, top-k out; and how that lives on disk.

`WindowedIndex` is the engine: approximate or exact, sums in order of impact. `SeismicIndex` searches blocks with
summaries. `ExactIndex` scores every document and is the oracle of both. `Store` is a folder of documents with vectors:
one writer changes it, any number of readers search one `Generation` of it each; `CollectionWriter` makes one at once.
"""

from typing import TYPE_CHECKING

from lsr.index.allowed import Allowed
from lsr.index.engines import IndexSettings
from lsr.index.exact import ExactIndex
from lsr.index.live.generation import Generation
from lsr.index.live.store import Change, Store
from lsr.index.plan import Point, Tuning
from lsr.index.results import TopK
from lsr.index.settings import SeismicSettings, WindowedSettings
from lsr.index.storage.records import About, Corpus, EncoderInfo
from lsr.index.storage.writer import CollectionWriter
from lsr.index.windowed.engine import WindowedIndex
from lsr.on_first_use import on_first_use

if TYPE_CHECKING:
    from lsr.index.seismic.engine import SeismicIndex

__getattr__ = on_first_use(__name__, {"seismic.engine": ("SeismicIndex",)})

__all__ = [
    "About",
    "Allowed",
    "Change",
    "CollectionWriter",
    "Corpus",
    "EncoderInfo",
    "ExactIndex",
    "Generation",
    "IndexSettings",
    "Point",
    "SeismicIndex",
    "SeismicSettings",
    "Store",
    "TopK",
    "Tuning",
    "WindowedIndex",
    "WindowedSettings",
]
