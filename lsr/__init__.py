"""Learned sparse retrieval: text becomes sparse term weights, a blocked inverted index answers top-k.

::

    import lsr

    documents = lsr.DocumentReader(["corpus.jsonl"])
    lsr.index_documents(documents, lsr.load_encoder(), "my-index")
    hits = lsr.Searcher.open("my-index").search("rotten teeth from eating sweets", k=10)

Contents:

- `Document`, `DocumentReader`: where texts come from (`lsr.corpus`)
- `load_encoder`, `Encoder`: text to sparse vectors (`lsr.encoders`)
- `SparseMatrix`: sparse vectors (`lsr.sparse`)
- `WindowedIndex`, `SeismicIndex`, `ExactIndex`: sparse vectors to top-k (`lsr.index`)
- `Collection`, `Hit`: documents that are added, changed, deleted and found by words (`lsr.retrieval`)
- `index_documents`, `Searcher`: a collection made at once, and searched at one generation
- `LsrError`: root of every error raised on purpose (`lsr.errors`)

Evaluation lives in `lsr.eval`, the service in `lsr.api`, the command line in `lsr.cli`.
"""

from typing import TYPE_CHECKING, Any

from lsr._version import __version__
from lsr.errors import LsrError

if TYPE_CHECKING:
    from lsr.corpus import Document, DocumentReader, Fields
    from lsr.encoders import Encoder
    from lsr.encoders import load as load_encoder
    from lsr.index import Allowed, ExactIndex, SeismicIndex, WindowedIndex
    from lsr.retrieval import Collection, Hit, Searcher, index_documents
    from lsr.sparse import SparseMatrix

# Imported on first use, so that `lsr --help` does not wait for the compiler.
_HOMES = {
    "Allowed": ("lsr.index", "Allowed"),
    "Collection": ("lsr.retrieval", "Collection"),
    "Document": ("lsr.corpus", "Document"),
    "DocumentReader": ("lsr.corpus", "DocumentReader"),
    "Encoder": ("lsr.encoders", "Encoder"),
    "ExactIndex": ("lsr.index", "ExactIndex"),
    "Fields": ("lsr.corpus", "Fields"),
    "Hit": ("lsr.retrieval", "Hit"),
    "Searcher": ("lsr.retrieval", "Searcher"),
    "SeismicIndex": ("lsr.index", "SeismicIndex"),
    "SparseMatrix": ("lsr.sparse", "SparseMatrix"),
    "WindowedIndex": ("lsr.index", "WindowedIndex"),
    "index_documents": ("lsr.retrieval", "index_documents"),
    "load_encoder": ("lsr.encoders", "load"),
}

__all__ = [
    "Allowed",
    "Collection",
    "Document",
    "DocumentReader",
    "Encoder",
    "ExactIndex",
    "Fields",
    "Hit",
    "LsrError",
    "Searcher",
    "SeismicIndex",
    "SparseMatrix",
    "WindowedIndex",
    "__version__",
    "index_documents",
    "load_encoder",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lsr' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
