"""How does a causal language model get ready for a sparse head? It goes on reading, by logits and by rectified ones.

A decoder whose logits are trained as sparse weights at once may lose all of them to the ReLU; this phase on plain text
prevents it (CSPLADE, arXiv 2504.10816, section 3.2).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.encoders.network.backbone import read_body, write_body
from lsr.encoders.tokens.word_pieces import read_tokenizer, separator
from lsr.errors import TrainingError
from lsr.training.objective.losses import next_token
from lsr.training.recipe import Pretraining

TEXTS = 4096  # tokenised together


def pretrained(model: Path, texts: Sequence[str], settings: Pretraining, folder: Path, seed: int = 0) -> Path:
    """``folder`` with the language model in ``model``, trained on ``texts``; one that is complete is taken as it is.

    Args:
        model: a Hugging Face folder.
        texts: without labels; windows are drawn from all of them in a row.
        settings: how.
        folder: where the result goes.
        seed: of the windows.

    Raises:
        TrainingError: too little text for one window, or a loss that is not finite.
        EncoderError: ``model`` cannot be read.
    """
    if folder.is_dir():
        return folder
    stream = _stream(texts, model / "tokenizer.json")
    if len(stream) <= settings.length:
        raise TrainingError(f"{len(stream):,} tokens of text for windows of {settings.length:,}: lower 'length'")
    body, vocabulary = read_body(model, "causal-lm")
    assert vocabulary is not None  # noqa: S101
    device = "cuda" if torch.cuda.is_available() else "cpu"
    both = torch.nn.ModuleList([body, vocabulary]).to(device).train()
    optimiser = torch.optim.AdamW(both.parameters(), settings.rate.value)
    for step in range(1, settings.steps + 1):
        optimiser.param_groups[0]["lr"] = settings.rate.at(step, settings.steps)
        optimiser.zero_grad()
        loss = _gradients(both, _windows(stream, settings, [seed, step]).to(device), settings)
        if not np.isfinite(loss):
            raise TrainingError(f"the loss of pretraining is not finite at step {step}; lower its 'rate'")
        torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimiser.step()
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    write_body(body.eval().cpu(), vocabulary.cpu(), part)
    shutil.copyfile(model / "tokenizer.json", part / "tokenizer.json")
    return part.rename(folder)


def _gradients(both: torch.nn.ModuleList, ids: torch.Tensor, settings: Pretraining) -> float:
    """Add the gradients of windows int64[B, L], ``chunk`` at a time; their loss."""
    body, vocabulary = both
    total = 0.0
    for part in torch.split(ids, settings.chunk):
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=ids.is_cuda):
            logits = vocabulary(body(part, torch.ones_like(part, dtype=torch.bool)))
        loss = next_token(logits, part, settings.rectified) * (len(part) / len(ids))
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    return total


def _stream(texts: Sequence[str], path: Path) -> NDArray[np.int32]:
    """All texts in one row, a separator after each where the tokenizer has one."""
    tokenizer = read_tokenizer(path)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    end = separator(tokenizer)
    rows = []
    for at in range(0, len(texts), TEXTS):
        for encoding in tokenizer.encode_batch(list(texts[at : at + TEXTS]), add_special_tokens=False):
            rows.append(np.array([*encoding.ids, *([] if end is None else [end])], np.int32))
    return np.concatenate(rows) if rows else np.zeros(0, np.int32)


def _windows(stream: NDArray[np.int32], settings: Pretraining, seed: list[int]) -> torch.Tensor:
    starts = np.random.default_rng(seed).integers(0, len(stream) - settings.length, settings.batch)
    return torch.from_numpy(np.stack([stream[at : at + settings.length] for at in starts]).astype(np.int64))
