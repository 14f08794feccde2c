"""Which encoder made a collection? The one kept in its folder, or the one that comes with lsr."""

from __future__ import annotations

from pathlib import Path

from lsr import encoders
from lsr.encoders import Encoder
from lsr.errors import EncoderError, StorageError
from lsr.index import About


def encoder_of(folder: Path, about: About) -> Encoder:
    """The encoder of the collection in ``folder``, called as its maker called it.

    Raises:
        EncoderError: it cannot be loaded.
        StorageError: it came with another version of lsr.
    """
    if about.encoder_folder:
        found = encoders.load(folder / about.encoder_folder)
    else:
        found = encoders.load(encoders.DEFAULT)
        if found.fingerprint != about.encoder.fingerprint:
            raise StorageError(
                f"{folder} was made with the default model of lsr {about.lsr} ({about.encoder.fingerprint}), this lsr "
                f"comes with {found.fingerprint}: use that version, or index again"
            )
    if isinstance(found, Encoder):
        found.name = about.encoder.name
        return found
    raise EncoderError(f"{folder} holds no encoder: index again")


def is_shipped(encoder: Encoder) -> bool:
    """Whether an encoder is the one that comes with lsr."""
    if encoder.name != encoders.DEFAULT and not encoder.fresh().fingerprint.startswith("neural"):
        return False
    return encoder.fresh().fingerprint == _default_fingerprint()


def _default_fingerprint() -> str:
    return encoders.load(encoders.DEFAULT).fingerprint
