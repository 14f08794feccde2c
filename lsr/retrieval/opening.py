"""Which encoder made a collection? The one kept in its folder, or the one that comes with lsr."""

from __future__ import annotations

from pathlib import Path

from lsr.encoders import DEFAULT, Encoder, load
from lsr.encoders.registry import fingerprint_of
from lsr.errors import MismatchError, StorageError
from lsr.index import About


def encoder_of(folder: Path, about: About) -> Encoder:
    """The encoder of the collection in ``folder``, called as its maker called it.

    Raises:
        EncoderError: it cannot be loaded.
        StorageError: it came with another version of lsr.
    """
    if about.encoder_folder:
        found = load(folder / about.encoder_folder)
    else:
        found = load(DEFAULT)
        if found.fingerprint != about.encoder.fingerprint:
            raise StorageError(
                f"{folder} was made with the default model of lsr {about.lsr} ({about.encoder.fingerprint}), this lsr "
                f"comes with {found.fingerprint}: use that version, or index again"
            )
    found.name = about.encoder.name
    return found


def same_encoder(folder: Path, about: About, encoder: Encoder) -> Encoder:
    """``encoder`` as it made the collection in ``folder``: what it learned counts only in an index of format 2.

    Raises:
        MismatchError: another one made it.
    """
    made_by = about.encoder
    for found in (encoder.fresh(), encoder):
        if found.fingerprint == made_by.fingerprint:
            return found
    raise MismatchError(
        f"{folder} was indexed with {made_by.name} ({made_by.fingerprint}), the encoder given is {encoder.fingerprint}: "
        "search with the index's own encoder, or index again with the new one"
    )


def is_shipped(encoder: Encoder) -> bool:
    """Whether an encoder is the one that comes with lsr."""
    return encoder.name == DEFAULT and encoder.fresh().fingerprint == fingerprint_of(DEFAULT)
