"""Which encoder does a name or a folder stand for?"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from lsr.encoders.base import Encoder
from lsr.encoders.declaration import system_names
from lsr.encoders.lexical.bm25 import ENGLISH, BM25Encoder
from lsr.encoders.storage.layout import EXPANDED
from lsr.encoders.storage.writer import new_folder
from lsr.errors import EncoderError

DEFAULT = "default"
BM25, VECTORS = "bm25.json", "vectors.json"


def load(
    name_or_dir: str | Path = DEFAULT,
    device: str | None = None,
    half: bool = False,
    system: str | None = None,
    truncate: bool = False,
) -> Encoder:
    """The encoder called ``name_or_dir``, or the one saved in that folder; without a name the one that comes with lsr.

    A folder holds what `Encoder.save` wrote, a sentence-transformers model, or a Hugging Face masked language model.
    Nothing is downloaded, nothing is unpickled, and no code from a folder is run.

    Args:
        name_or_dir: "default", "bm25", "bm25:LANGUAGE" (one of `lsr.encoders.lexical.bm25.languages`) or a folder.
        device: where a network runs: "cpu", "cuda", "cuda:1"; None takes a GPU where there is one.
        half: bfloat16 on a GPU.
        system: parts of a plain Hugging Face folder, one of `system_names` or a TOML file; None means splade-v2,
            or, with an idf.json beside the weights, opensearch-doc-v2.
        truncate: read of a text that is longer than the network reads at once the first tokens only, as published
            numbers have it, instead of all of it in windows.

    Raises:
        EncoderError: no such name or folder, or a folder that holds no encoder.
        MissingExtraError: the encoder needs a package that is not installed.
    """
    if not isinstance(name_or_dir, str | Path):
        raise EncoderError(f"the encoder is {name_or_dir!r:.60}: wanted its name or its folder")
    if language := bm25_language(name_or_dir):
        return BM25Encoder(language=language)
    folder = folder_of(name_or_dir)
    if not folder.is_dir():
        raise EncoderError(
            f"unknown encoder {str(name_or_dir)!r}{_of_training(name_or_dir)}: wanted default, bm25 or a folder that "
            "holds a model; nothing is "
            "downloaded, so fetch a hub model first, for example with: hf download NAME --local-dir DIR"
        )
    if (folder / BM25).is_file():
        return BM25Encoder.load(folder)
    if (folder / VECTORS).is_file():
        from lsr.encoders.lexical.precomputed import PrecomputedVectors

        return PrecomputedVectors.load(folder)
    if (folder / EXPANDED).is_file():
        from lsr.encoders.expanded import ExpandedEncoder

        return ExpandedEncoder.load(folder, lambda part: load(part, device, half, truncate=truncate))
    from lsr.encoders.neural import NeuralEncoder
    from lsr.encoders.storage.layout import truncated
    from lsr.encoders.storage.reader import read_source

    source = read_source(folder, system)
    return NeuralEncoder(truncated(source) if truncate else source, device, half)


def save(encoder: Encoder, folder: str | Path) -> None:
    """Write ``encoder`` into the new folder ``folder``, which `load` reads.

    Raises:
        EncoderError: ``folder`` is there already.
    """
    with new_folder(Path(folder)) as new:
        encoder.save(new)


def fingerprint_of(name_or_dir: str | Path, truncate: bool = False) -> str:
    """The fingerprint of what `load` gives; a network is not read for it.

    Raises:
        EncoderError: as `load`.
    """
    folder = folder_of(name_or_dir)
    if bm25_language(name_or_dir) or not folder.is_dir() or _has(folder, BM25, VECTORS, EXPANDED):
        return load(name_or_dir, "cpu", truncate=truncate).fingerprint
    from lsr.encoders.storage.layout import truncated
    from lsr.encoders.storage.reader import fingerprint, read_source

    source = read_source(folder)
    return fingerprint(truncated(source) if truncate else source)


def in_language(name: str | None, language: str | None) -> str | None:
    """The name of BM25 in ``language``; ``name`` where that is None.

    Raises:
        EncoderError: a language for another encoder.
    """
    if language is None:
        return name
    if name is None or bm25_language(name) is None:
        raise EncoderError(f"--language is of bm25, found the encoder {name or DEFAULT!r}: add --encoder bm25")
    return f"bm25:{language}"


def bm25_language(name: str | Path | None) -> str | None:
    """The language of "bm25" or "bm25:LANGUAGE"; None for other names."""
    head, _, language = str(name).partition(":")
    return (language or ENGLISH) if head == "bm25" else None


def _of_training(name: str | Path) -> str:
    return " (a system that lsr train trains, without weights)" if str(name) in system_names() else ""


def _has(folder: Path, *names: str) -> bool:
    return any((folder / name).is_file() for name in names)


def folder_of(name_or_dir: str | Path) -> Path:
    """The folder that a name stands for: that of the model that comes with lsr for "default", else itself."""
    return Path(str(files("lsr.encoders").joinpath(DEFAULT))) if str(name_or_dir) == DEFAULT else Path(name_or_dir)
