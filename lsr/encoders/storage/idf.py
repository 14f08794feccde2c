"""What does an ``idf.json`` of OpenSearch say? A weight for every token of a query."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.storage.files import read_object
from lsr.encoders.tokens.word_pieces import read_tokenizer
from lsr.errors import EncoderError


def read_idf(path: Path, tokenizer: Path) -> NDArray[np.float32]:
    """The table in an OpenSearch ``idf.json`` (token to number), float32[V]; tokens that it leaves out weigh 0.

    Raises:
        EncoderError: not such a file, or tokens that the tokenizer does not know.
    """
    ids = read_tokenizer(tokenizer).get_vocab()
    weights = read_object(path)
    table = np.zeros(max(ids.values(), default=0) + 1, np.float32)
    for token, weight in weights.items():
        if not isinstance(weight, int | float) or not np.isfinite(weight):
            raise EncoderError(f"{path}: token {token!r} has {weight!r}; wanted a finite number")
        if token not in ids:
            raise EncoderError(f"{path}: token {token!r} is not in the tokenizer; they do not belong together")
        table[ids[token]] = weight
    return table
