"""How does text become sparse term weights? Encoders, found by name or folder.

`load("bm25")` or `load("path/to/model")` gives an `Encoder`: `encode_documents` and `encode_queries` turn texts
into a `SparseMatrix`; `terms` names its columns.
"""

from lsr.encoders.base import Encoder, Observation, Span
from lsr.encoders.bm25 import BM25Encoder
from lsr.encoders.registry import load

__all__ = ["BM25Encoder", "Encoder", "Observation", "Span", "load"]
