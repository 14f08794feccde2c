"""How much do expansions weigh, and how many stay? Both can be set after training, on queries of a dev set.

A student that copies weights with a squared error gives what it is unsure of less than it is worth.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np

from lsr.encoders.declaration import Declaration, write_declaration
from lsr.encoders.neural import write_manifest
from lsr.encoders.storage.files import read_tensors
from lsr.encoders.storage.reader import read_source
from lsr.encoders.storage.writer import new_folder
from lsr.errors import EncoderError

ROWS = ("vocabulary_weight", "vocabulary_bias")


def rescale(folder: Path, target: Path, factor: float = 1.0, threshold: float | None = None) -> None:
    """Write the encoder of stems in ``folder`` with other expansions into the new folder ``target``.

    Args:
        folder: an encoder that was trained, not exported.
        target: made here.
        factor: what the logits of all stems are multiplied by; weights of counts stay.
        threshold: share of a document's largest weight below which a weight is left out; None keeps it.

    Raises:
        EncoderError: an encoder of another kind, a number out of range, a ``target`` that is there.
    """
    from safetensors.numpy import save_file

    if factor <= 0 or (threshold is not None and not 0 <= threshold < 1):
        raise EncoderError(f"factor {factor:g}, threshold {threshold}: wanted more than 0, and 0 or more but below 1")
    with new_folder(target) as new:
        declaration = _declaration(folder)
        shutil.copytree(folder, new, dirs_exist_ok=True)
        place = new / "document" / "parts.safetensors"
        tensors = read_tensors(place)
        save_file(tensors | {name: tensors[name] * np.float32(factor) for name in ROWS}, place, {"format": "pt"})
        if threshold is not None:
            document = msgspec.structs.replace(declaration.document, threshold=threshold)
            text = write_declaration(declaration.replace(document=document))
            (new / "encoder.toml").write_text(text, encoding="utf-8")
        write_manifest(new, None)


def _declaration(folder: Path) -> Declaration:
    source = read_source(folder)
    side = source.document.side
    if not (side.stems and side.head == "vocabulary" and side.sparsifier == "relative") or source.document.onnx:
        found = source.declaration.title + (", exported" if source.document.onnx else "")
        raise EncoderError(
            f"{folder} holds {found!r}: wanted an encoder of stems that lsr train or lsr encoders average wrote"
        )
    return source.declaration
