"""Which stems become terms, and what does a network know of them before training?

The start is BM25 over stems plus what the network already knows of words: the row of a stem is the network's own
state for that word, and biases let a text fire about `FIRE` rows, so that the first step sees sensible vectors.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.encoders.declaration import Declaration, write_declaration
from lsr.encoders.lexical.stems import FUNCTION_WORDS, K1, WORDS, B, Stems, stem
from lsr.encoders.lexical.words import plain
from lsr.encoders.network.backbone import Body, read_body, write_body
from lsr.encoders.neural import save_side, write_manifest
from lsr.encoders.parts.part import Parts
from lsr.encoders.parts.pools import state_pool
from lsr.encoders.parts.products.torch_products import sliced_max
from lsr.encoders.parts.scorers import unit_tensor
from lsr.encoders.storage.layout import SideSource
from lsr.encoders.tokens.batch import Batch
from lsr.encoders.tokens.stem_tokens import STEMS, StemView, view_of
from lsr.encoders.tokens.word_pieces import collate
from lsr.errors import TrainingError
from lsr.training.recipe import StemChoice
from lsr.training.student.word_piece_pruning import COUNTED, prune_word_pieces, words_read

SAMPLED = 2_000  # texts that biases are set by
FIRE = 120.0  # of all rows, how many the first network lets a text fire
STEP = 0.15  # weight of a stem that fires, at first
AT_ONCE = 64


class Counted(NamedTuple):
    """Stems of texts.

    Attributes:
        stems: the vocabulary.
        words: the commonest word of each named stem.
        counts: how often words stand in the texts.
        prior: share of texts that hold each term.
        length: mean number of terms.
    """

    stems: Stems
    words: list[str]
    counts: dict[str, int]
    prior: NDArray[np.float32]
    length: float


def count_stems(texts: Sequence[str], choice: StemChoice) -> Counted:
    """The commonest stems get names; numbers come last, because a network has nothing to say of them."""
    texts = texts[:: max(1, len(texts) // COUNTED)]
    words, frequency, total = Counter[str](), Counter[str](), 0
    for text in texts:
        found = [plain(word) for word in WORDS.of(text, document=False)]
        words.update(found)
        stems = [own for word in found if (own := _stem(word))]
        frequency.update(set(stems))
        total += len(stems)
    commonest: dict[str, str] = {}
    for word, _ in words.most_common():
        commonest.setdefault(_stem(word), word)
    ranked = sorted(frequency, key=lambda own: (not own.isalpha(), -frequency[own], own))
    vocabulary = Stems(ranked[: choice.named], choice.buckets)
    shares = np.zeros(len(vocabulary))
    for own, count in frequency.items():
        shares[vocabulary.term_of_stem(own)] += count
    prior = np.minimum((shares + 0.5) / (len(texts) + 1), 1 - 1e-6).astype(np.float32)
    return Counted(vocabulary, [commonest[own] for own in vocabulary.stems], words, prior, total / max(1, len(texts)))


@lru_cache(1 << 20)
def _stem(word: str) -> str:
    """Nothing for a function word."""
    return "" if word in FUNCTION_WORDS else stem(word)


def write_start(declaration: Declaration, model: Path, texts: Sequence[str], choice: StemChoice, folder: Path) -> Path:
    """Write an encoder of stems on the network in ``model`` into ``folder``.

    Args:
        declaration: a system with view "stems".
        model: a Hugging Face folder of a BERT.
        texts: documents that say which stems there are.
        choice: sizes, and the layers of the network that stay.
        folder: made here.

    Raises:
        TrainingError: layers that the network does not have.
    """
    counted = count_stems(texts, choice)
    body, _ = read_body(model, "encoder")
    _keep_layers(body, choice.layers)
    folder.mkdir(parents=True)
    counted.stems.save(folder / STEMS)
    tokenizer = model / "tokenizer.json"
    text = tokenizer.read_text("utf-8")
    if choice.min_word_piece_count:
        text = prune_word_pieces(
            body, tokenizer, words_read(counted.counts, declaration.document), choice.min_word_piece_count
        )
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    view = view_of(folder / "tokenizer.json", declaration.document)
    assert isinstance(view, StemView)  # noqa: S101
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = _rows(body.to(device), view, declaration.document.pool, counted.words[: choice.rows], texts)
    parts = _counts(body.width, counted.length) | rows
    with tempfile.TemporaryDirectory() as network:
        write_body(body.cpu(), None, Path(network))
        save_side(
            SideSource(declaration.document, folder / "tokenizer.json", Path(network), None, parts), folder / "document"
        )
    query: Parts = {"table": -np.log(counted.prior), "prior": counted.prior}
    save_side(SideSource(declaration.query_side, folder / "tokenizer.json", parts=query), folder / "query")
    (folder / "encoder.toml").write_text(write_declaration(declaration), encoding="utf-8")
    write_manifest(folder, None)
    return folder


def _keep_layers(body: Body, chosen: Sequence[int]) -> None:
    if not chosen:
        return
    model: Any = body.model
    layers = getattr(getattr(model, "encoder", None), "layer", None)
    if layers is None or max(chosen) >= len(layers):
        found = "no list of layers" if layers is None else f"{len(layers)} layers"
        raise TrainingError(f"{type(model).__name__} has {found}; wanted a BERT with layers {list(chosen)}")
    model.encoder.layer = torch.nn.ModuleList([layers[at] for at in chosen])
    model.config.num_hidden_layers = len(chosen)


def _counts(width: int, length: float) -> Parts:
    """BM25: every word counts 1."""
    form = np.log([K1 + 1, K1 * (1 - B), K1 * B / length])
    one = np.log(np.expm1(1.0))  # softplus of it is 1
    return {
        "counts_weight": np.zeros(width, np.float32),
        "counts_bias": np.full(1, one, np.float32),
        "counts_form": form.astype(np.float32),
    }


def _rows(body: Body, view: StemView, pool: str, words: Sequence[str], texts: Sequence[str]) -> Parts:
    """States of words as rows; biases from the products with each of some texts, the largest or that of the mean."""
    products = _with_mean if pool == "mean" else _largest
    directions = torch.cat([*_states(body, view, words, _mean_of_one)])
    sample = texts[:: max(1, len(texts) // SAMPLED)][:SAMPLED]
    best = torch.cat([*_states(body, view, sample, lambda states, mask: products(states, mask, directions))])
    kept = max(2, round(len(sample) * FIRE / len(words)))
    highest = best.topk(min(kept, len(sample)), dim=0).values
    border = highest[-1]
    scale = torch.expm1(torch.tensor(STEP)) / (highest - border).mean().clamp(min=1e-6)
    weight, bias = scale * directions, -scale * border
    return {"vocabulary_weight": weight.cpu().numpy(), "vocabulary_bias": bias.cpu().numpy()}


def _states(
    body: Body, view: StemView, texts: Sequence[str], pool: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> Iterator[torch.Tensor]:
    device = next(body.parameters()).device
    for start in range(0, len(texts), AT_ONCE):
        batch = Batch.of(collate(view(texts[start : start + AT_ONCE])), device)
        with torch.inference_mode():
            yield pool(body(batch.ids, batch.attention).float(), batch.attention)


def _mean_of_one(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return unit_tensor(state_pool("mean").tensor(states, mask))


def _largest(states: torch.Tensor, mask: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    zero = torch.zeros(len(directions), device=states.device)
    return sliced_max(states, directions, zero, mask)[0]


def _with_mean(states: torch.Tensor, mask: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    return _mean_of_one(states, mask) @ directions.T
