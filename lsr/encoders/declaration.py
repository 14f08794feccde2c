"""What is a published system made of? One part of each kind, for documents and for queries, in a few lines of TOML."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import msgspec

from lsr.errors import EncoderError

View = Literal["plain", "bare", "echo", "stems", "content-stems"]
Backbone = Literal["masked-lm", "encoder", "causal-lm", "bidirectional-lm", "none"]
Head = Literal["vocabulary", "token-weight", "table", "autoencoder", "dense", "bm25"]
Activation = Literal["identity", "relu", "log1p", "log1p2", "log1p3", "softplus", "softplus-log1p"]
Pool = Literal["max", "sum", "mean", "cls", "last"]
Gate = Literal["importance", "quality", "literal-residual", "literal-only", "literal-counts", "modulation"]
Sparsifier = Literal["none", "topk", "abs-topk", "batch-topk", "feature-choice", "relative"]
Scorer = Literal["dot", "cosine", "query-l2"]
Table = Literal["ones", "idf", "learned", "corpus"]

NEEDS_POSITIVE_K = ("topk", "abs-topk", "batch-topk", "feature-choice")


class Side(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one side, documents or queries, becomes a vector: a part of each kind.

    Attributes:
        head: what turns states into weights: ``vocabulary`` (a product with one row a term), ``token-weight`` (one
            number a token, placed at the token's own term), ``table`` (one number a term, no network), ``autoencoder``
            (codes of a pooled state), ``dense`` (the pooled state itself), ``bm25``.
        backbone: the network before it; ``none`` where there is none.
        view: ``plain`` tokens, ``bare`` (no special tokens), ``echo`` (text, separator, text; the second copy pools),
            ``stems`` (terms are stems of words, whose first tokens pool), ``content-stems`` (the same, and the network
            reads no function words).
        activation: applied to logits; ``log1pN`` is relu and N times log(1 + x).
        pool: how positions become one vector; for ``token-weight`` how repeated tokens add up; for ``table`` whether a
            repeated token counts once (``max``) or each time (``sum``). ``mean`` of a ``vocabulary`` of stems is the
            mean state of all tokens, brought to length 1, as dense retrieval has it.
        gates: further factors, in this order.
        sparsifier: which entries stay; ``k`` and ``threshold`` are its settings.
        table: where the numbers of a ``table`` head come from; ``corpus`` is one that follows the document
            frequencies of the corpus that is indexed.
        centred: whether the input of an ``autoencoder`` is standardised per text.
        prompt: text put before every text.
        max_length: tokens kept of a text, special ones included.
    """

    head: Head
    backbone: Backbone = "none"
    view: View = "plain"
    activation: Activation = "identity"
    pool: Pool = "max"
    gates: tuple[Gate, ...] = ()
    sparsifier: Sparsifier = "none"
    k: int = 0
    threshold: float = 0.0
    table: Table = "ones"
    centred: bool = False
    prompt: str = ""
    max_length: int = 512

    @property
    def stems(self) -> bool:
        """Whether terms are stems of words; otherwise they are tokens."""
        return self.view in ("stems", "content-stems")

    @property
    def dense(self) -> bool:
        """Whether vectors have no vocabulary: they go into no inverted index."""
        return self.head == "dense"


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One system.

    Attributes:
        title: what the literature calls it.
        paper: where it is defined.
        document: how documents are encoded.
        query: how queries are encoded; None means like documents, by the same weights.
        scorer: ``dot``; ``cosine`` and ``query-l2`` scale both sides, or queries only, to length 1.
        separate: whether queries have weights of their own where they could share those of documents.
    """

    title: str
    paper: str
    document: Side
    query: Side | None = None
    scorer: Scorer = "dot"
    separate: bool = False

    @property
    def asking(self) -> Side:
        """The side that encodes queries."""
        return self.query or self.document

    def replace(self, **changes: Any) -> Declaration:
        """The same with other values."""
        return msgspec.structs.replace(self, **changes)


def system_names() -> list[str]:
    """The published systems that are declared, in order."""
    return sorted(path.name.removesuffix(".toml") for path in _systems() if path.name.endswith(".toml"))


def read_system(name: str) -> Declaration:
    """The declaration called ``name``.

    Raises:
        EncoderError: no such name.
    """
    if name not in system_names():
        raise EncoderError(f"unknown system {name!r}: wanted one of {', '.join(system_names())}")
    return parse_declaration(files("lsr.encoders").joinpath("systems", f"{name}.toml").read_text("utf-8"), name)


def parse_declaration(text: str, place: str | Path) -> Declaration:
    """The declaration in TOML ``text``; ``place`` names it in messages.

    Raises:
        EncoderError: not TOML, an unknown field or part, or parts that do not go together.
    """
    try:
        declaration = msgspec.convert(tomllib.loads(text), Declaration)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise EncoderError(f"{place}: not a declaration of an encoder ({error})") from None
    for side in (declaration.document, declaration.asking):
        if fault := fault_of(side):
            raise EncoderError(f"{place}: {fault}")
    return declaration


def fault_of(side: Side) -> str | None:
    """Why these parts do not go together, or None."""
    if side.head in ("table", "bm25") and side.backbone != "none":
        return f"head {side.head!r} takes no backbone, found {side.backbone!r}"
    if side.head not in ("table", "bm25") and side.backbone == "none":
        return f"head {side.head!r} needs a backbone: masked-lm, encoder, causal-lm or bidirectional-lm"
    if side.head == "vocabulary" and (side.backbone == "encoder") != side.stems:
        return (
            f"head 'vocabulary' of stems needs backbone 'encoder', found {side.backbone!r}"
            if side.stems
            else "head 'vocabulary' needs a language model, found backbone 'encoder'; take masked-lm"
        )
    if side.head == "vocabulary" and side.pool == "mean" and not side.stems:
        return "head 'vocabulary' pools logits by max, sum, cls or last, found 'mean', which is for stems"
    if side.head in ("token-weight", "table") and side.pool not in ("max", "sum"):
        return f"head {side.head!r} pools repeated tokens by max or sum, found {side.pool!r}"
    if side.head in ("autoencoder", "dense") and side.pool not in ("mean", "cls", "last"):
        return f"head {side.head!r} pools states by mean, cls or last, found {side.pool!r}"
    if side.sparsifier in NEEDS_POSITIVE_K and side.k < 1:
        return f"sparsifier {side.sparsifier!r} needs k of 1 or more, found {side.k}"
    return _fault_of_gates(side)


def _fault_of_gates(side: Side) -> str | None:
    gates = set(side.gates)
    if "literal-residual" in gates and (side.head != "vocabulary" or side.pool not in ("cls", "last")):
        return "gate 'literal-residual' needs head 'vocabulary' with pool 'cls' or 'last'"
    if "modulation" in gates and side.head != "dense":
        return f"gate 'modulation' needs head 'dense', found {side.head!r}"
    if "literal-counts" in gates and not side.stems:
        return f"gate 'literal-counts' needs view 'stems', found {side.view!r}"
    if gates & {"importance", "quality", "literal-only", "literal-counts"} and side.head != "vocabulary":
        return f"gates {', '.join(sorted(gates))} need head 'vocabulary', found {side.head!r}"
    if "importance" in gates and side.pool not in ("max", "sum"):
        return f"gate 'importance' needs pool 'max' or 'sum', found {side.pool!r}"
    if not 2 <= side.max_length <= 1 << 20:
        return f"max_length {side.max_length}: wanted 2 to 1,048,576"
    return None


def write_declaration(declaration: Declaration) -> str:
    """The declaration as TOML; `parse_declaration` gives it back."""
    fields = msgspec.to_builtins(declaration)
    lines = [f"{key} = {_toml(value)}" for key, value in fields.items() if not isinstance(value, dict)]
    for key, value in fields.items():
        if isinstance(value, dict):
            lines += ["", f"[{key}]", *(f"{name} = {_toml(part)}" for name, part in value.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A string, number, truth value or list of these; their JSON is TOML, once control characters are escaped."""
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def _systems() -> list[Any]:
    return list(files("lsr.encoders").joinpath("systems").iterdir())
