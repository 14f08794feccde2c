"""Which encoder does a name or a folder stand for?"""

from __future__ import annotations

from pathlib import Path

from lsr.encoders.base import Encoder
from lsr.encoders.bm25 import BM25Encoder
from lsr.errors import EncoderError


def load(name_or_dir: str | Path) -> Encoder:
    """The encoder called ``name_or_dir``, or the one saved in that folder.

    A folder holds what `Encoder.save` wrote, a sentence-transformers SPLADE model, or a Hugging Face masked
    language model. Nothing is downloaded and nothing is unpickled.

    Raises:
        EncoderError: no such name or folder, or a folder that holds no encoder.
        MissingExtraError: the encoder needs a package that is not installed.
    """
    if str(name_or_dir) == "bm25":
        return BM25Encoder()
    folder = Path(name_or_dir)
    if not folder.is_dir():
        raise EncoderError(f"unknown encoder {str(name_or_dir)!r}: wanted bm25 or a folder that holds a model")
    if (folder / "bm25.json").is_file():
        return BM25Encoder.load(folder)
    if (folder / "modules.json").is_file() or (folder / "config.json").is_file():
        from lsr.encoders.splade import SpladeEncoder

        return SpladeEncoder(folder)
    raise EncoderError(f"{folder} holds no encoder: found neither bm25.json nor modules.json nor config.json")
