"""How does text become sparse term weights? Encoders, found by name or folder.

`load()` gives the model that comes with lsr, `load("bm25")` or `load("path/to/model")` another `Encoder`:
`save` writes one;
`encode_documents` and `encode_queries` turn texts into a `SparseMatrix`; `terms` names its columns. A neural encoder is
put together from parts, as a few lines of TOML say; `system_names` lists the published systems that are declared,
`read_system` gives one.
"""

from typing import TYPE_CHECKING

from lsr.encoders.base import Encoder, Observation, Origin, Span
from lsr.encoders.declaration import Declaration, read_system, system_names
from lsr.encoders.lexical.bm25 import BM25Encoder
from lsr.encoders.registry import DEFAULT, load, save
from lsr.encoders.side import Side
from lsr.on_first_use import on_first_use

if TYPE_CHECKING:
    from lsr.encoders.lexical.precomputed import PrecomputedVectors

__getattr__ = on_first_use(
    __name__, {"lexical.precomputed": ("PrecomputedVectors",)}
)  # it needs all formats of vectors

__all__ = [
    "DEFAULT",
    "BM25Encoder",
    "Declaration",
    "Encoder",
    "Observation",
    "Origin",
    "PrecomputedVectors",
    "Side",
    "Span",
    "load",
    "read_system",
    "save",
    "system_names",
]
