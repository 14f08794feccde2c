"""How does a model folder lie on the disk? Names of its files, and what each side of an encoder is read from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from lsr.encoders.declaration import Declaration
from lsr.encoders.parts.part import Parts
from lsr.encoders.parts.registry import head_of
from lsr.encoders.side import Side
from lsr.encoders.storage.files import read_object

FORMAT = 1
PARTS = "parts.safetensors"
BODY = "body.onnx"
EXPANDED = "folded.json"  # beside two encoders, base and expander
ADAPTER = "adapter"  # folder of a low-rank adapter, below that of the network
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True)
class SideSource:
    """Where one side's network and tensors are.

    Attributes:
        side: which parts.
        tokenizer: a ``tokenizer.json``.
        model: a Hugging Face folder, or None.
        onnx: a body exported for onnxruntime, or None.
        parts: tensors of head and gates.
    """

    side: Side
    tokenizer: Path
    model: Path | None = None
    onnx: Path | None = None
    parts: Parts = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Everything that decides an encoder's vectors; ``query`` is None where documents and queries share weights.

    Attributes:
        stated: the fingerprint that an export took over from the encoder it was made of, or None.
    """

    folder: Path
    declaration: Declaration
    document: SideSource
    query: SideSource | None = None
    stated: str | None = None

    @property
    def query_side(self) -> SideSource:
        """What encodes queries."""
        return self.query or self.document


def truncated(source: Source) -> Source:
    """The same, reading of long texts the first tokens only; itself where it does so already, as dense ones do."""
    declaration = source.declaration
    sides = declaration.document, declaration.query_side
    if declaration.dense or all(side.long_texts == "truncate" for side in sides):
        return source
    query = declaration.query and _truncated(declaration.query)
    stated = source.stated and f"neural-{hashlib.sha256(f'{source.stated} truncate'.encode()).hexdigest()[:32]}"
    return Source(
        source.folder,
        declaration.replace(document=_truncated(declaration.document), query=query),
        replace(source.document, side=_truncated(source.document.side)),
        source.query and replace(source.query, side=_truncated(source.query.side)),
        stated,
    )


def _truncated(side: Side) -> Side:
    return msgspec.structs.replace(side, long_texts="truncate")


def weight_files(model: Path) -> list[Path]:
    """The safetensors of a Hugging Face network, without those of ours and of an adapter beside it."""
    return [path for path in sorted(model.glob("*.safetensors")) if path.name not in (PARTS, ADAPTER_WEIGHTS)]


def network_files(model: Path) -> list[Path]:
    """All files that decide what a Hugging Face network computes, those of an adapter too."""
    adapter = [model / ADAPTER / name for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)]
    return [*weight_files(model), model / "config.json", *(path for path in adapter if path.is_file())]


def width_of(source: SideSource) -> int:
    """Columns of one side's vectors as its files say, no network read; 0 where only the network knows."""
    if source.side.stems or head_of(source.side).columns_are != "tokens":
        return 0
    if source.onnx:
        size, bias = source.parts.get("vocabulary_size"), source.parts.get("vocabulary_bias")
        return int(size[0]) if size is not None else 0 if bias is None else bias.size
    return int(read_object(source.model / "config.json").get("vocab_size") or 0) if source.model else 0
