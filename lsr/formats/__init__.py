"""How do others keep sparse vectors in files? Readers and writers of each format, streaming, in one registry.

`VectorSource` reads vectors of any format; `convert` writes them in another; `FORMATS` lists what there is. Formats
name their terms (JSON lines, CIFF) or number them (matrices); a `Vocabulary` stands for both.
"""

from lsr.formats.convert import Conversion, convert, holds_vectors, is_vector_file
from lsr.formats.ground_truth import GroundTruth, read_ground_truth, write_ground_truth
from lsr.formats.quantise import Quantiser, Rounding
from lsr.formats.registry import FORMATS, Format, format_of
from lsr.formats.source import VectorSource
from lsr.formats.vectors import VectorBatch, Vocabulary

__all__ = [
    "FORMATS",
    "Conversion",
    "Format",
    "GroundTruth",
    "Quantiser",
    "Rounding",
    "VectorBatch",
    "VectorSource",
    "Vocabulary",
    "convert",
    "format_of",
    "holds_vectors",
    "is_vector_file",
    "read_ground_truth",
    "write_ground_truth",
]
