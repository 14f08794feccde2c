"""Which encoder made a collection? The one kept in its folder, or the one that comes with lsr."""

from __future__ import annotations

from pathlib import Path

from lsr.encoders import DEFAULT, Encoder, load
from lsr.encoders.registry import fingerprint_of
from lsr.errors import MismatchError, StorageError
from lsr.index import About
from lsr.index.storage.files import check_sizes


def encoder_of(folder: Path, about: About, loaded: Encoder | None = None) -> Encoder:
    """The encoder of the collection in ``folder``, called as its maker called it; ``loaded`` where it is that one.

    What it has seen of a corpus counts beside the records: something in indexes of format 2, else nothing.

    Raises:
        MismatchError: another encoder made the collection.
        EncoderError: it cannot be loaded.
        StorageError: a file of it is missing or damaged, or it came with another version of lsr.
    """
    if loaded is not None:
        return _same(folder, about, loaded)
    if about.encoder_folder:
        check_sizes(folder / about.encoder_folder, about.encoder_files)
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


def _same(folder: Path, about: About, encoder: Encoder) -> Encoder:
    made_by = about.encoder
    for found in (encoder.fresh(), encoder):
        if found.fingerprint == made_by.fingerprint:
            return found
    raise MismatchError(
        f"{folder} was indexed with {made_by.name} ({made_by.fingerprint}), the encoder given is "
        f"{encoder.fingerprint}: search with the index's own encoder, or index again with the new one"
    )


def is_shipped(encoder: Encoder) -> bool:
    """Whether an encoder is the one that comes with lsr."""
    return encoder.name == DEFAULT and encoder.fresh().fingerprint == fingerprint_of(DEFAULT)
