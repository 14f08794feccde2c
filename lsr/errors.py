"""Which errors can lsr raise on purpose?

::

    LsrError                    anything lsr refuses; catch this one
    ├── InputError              what was given cannot be used: a source, a line, a query, an option
    │   └── VectorError         a sparse matrix breaks a rule of its type
    ├── EncoderError            no such encoder, or a folder that does not hold one
    │   └── MissingExtraError   an optional dependency is not installed
    ├── TrainingError           training cannot start, go on or be resumed
    ├── StorageError            a folder is not a finished index, or is damaged
    └── MismatchError           the vectors and the index come from different encoders

A message says what was found, what was wanted and what to do.
"""

import json
import shlex
from pathlib import Path

TESTED = "constraints.txt"  # versions that are known to go together, in a clone

EXTRAS = {  # the extra that brings a package, by the name that is imported
    **dict.fromkeys(("torch", "transformers"), "torch"),
    **dict.fromkeys(("accelerate", "matplotlib", "tensorboard"), "train"),
    **dict.fromkeys(("onnx", "onnxscript"), "export"),
    **dict.fromkeys(("bm25s", "bmp", "kannolo", "seismic", "pyvsag", "scipy"), "bench"),
    **dict.fromkeys(("beir", "mteb"), "plugins"),
    **{"faiss": "dense", "ir_datasets": "irds", "pypdfium2": "files"},
}


class LsrError(Exception):
    """Root of every error raised on purpose."""


class InputError(LsrError):
    """What the caller gave cannot be used."""


class VectorError(InputError):
    """A sparse matrix breaks a rule of its type."""


class EncoderError(LsrError):
    """An encoder cannot be found or loaded."""


class MissingExtraError(EncoderError):
    """An optional dependency is missing.

    The message names the command that installs it.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}: run {how_to_install(extra)}")


def require(*packages: str, purpose: str) -> None:
    """Refuse at once what would fail later.

    Raises:
        MissingExtraError: one of these optional packages is not installed.
    """
    from importlib.util import find_spec

    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(package, EXTRAS[package], purpose)


def reason(error: Exception) -> str:
    """Why something cannot be read or written, in a few words."""
    return str(getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]


def how_to_install(extra: str) -> str:
    """The command that installs an extra of this package from where the package came from."""
    from importlib.metadata import PackageNotFoundError, distribution  # takes long to import
    from urllib.parse import unquote, urlsplit

    try:
        text = distribution("lsr-engine").read_text("direct_url.json")
    except PackageNotFoundError:
        text = None
    origin = json.loads(text) if text else {}
    url, folder = str(origin.get("url", "")), origin.get("dir_info")
    if folder is None:
        return f"pip install 'lsr-engine[{extra}] @ {url}'" if url else f"pip install '.[{extra}]' in a clone of lsr"
    root = Path(unquote(urlsplit(url).path))
    tested = f"-c {shlex.quote(str(root / TESTED))} " if (root / TESTED).is_file() else ""
    return f"pip install {tested}{'-e ' if folder.get('editable') else ''}{shlex.quote(f'{root}[{extra}]')}"


class StorageError(LsrError):
    """A folder is not a finished index, or one of its files is damaged."""


class TrainingError(LsrError):
    """Training cannot start, go on or be resumed; what was saved before is still there."""


class MismatchError(LsrError):
    """Vectors and index come from different encoders."""
