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
        super().__init__(f"{purpose} needs the package {package!r}: run pip install 'lsr-engine[{extra}]'")


class StorageError(LsrError):
    """A folder is not a finished index, or one of its files is damaged."""


class TrainingError(LsrError):
    """Training cannot start, go on or be resumed; what was saved before is still there."""


class MismatchError(LsrError):
    """Vectors and index come from different encoders."""
