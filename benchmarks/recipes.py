"""Does the tiny profile of every recipe make its encoder better? One run a recipe on data/sample, from titles alone."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file

from lsr.encoders.declaration import read_system
from lsr.training.loop.session import Plan, prepare
from lsr.training.recipe import read_recipe, recipe_names

SAMPLE = Path(__file__).parent.parent / "data" / "sample"
LEAST = 0.005  # gain of nDCG@10 that is asked for


class Row(NamedTuple):
    """What came of one recipe: seconds, nDCG@10 before and at best, terms a document then."""

    name: str
    system: str
    seconds: float
    before: float
    after: float
    terms: float


def decoder(model: Path, folder: Path) -> Path:
    """A causal language model of two layers, random but for the word embeddings of ``model``."""
    from transformers import LlamaConfig, LlamaForCausalLM

    words = next(value for name, value in load_file(model / "model.safetensors").items() if "word_embeddings" in name)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=words.shape[0],
        hidden_size=words.shape[1],
        intermediate_size=2 * words.shape[1],
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )
    network = LlamaForCausalLM(config)
    network.get_input_embeddings().weight.data.copy_(words)
    network.save_pretrained(folder)
    shutil.copyfile(model / "tokenizer.json", folder / "tokenizer.json")
    return folder


def trained(name: str, model: Path, folder: Path) -> Row:
    """Train the tiny profile of ``name`` from ``model``, or from a decoder, into ``folder``."""
    recipe, started = read_recipe(name, "tiny"), time.perf_counter()
    if read_system(recipe.system).document.backbone in ("causal-lm", "bidirectional-lm"):
        model = decoder(model, folder.with_name("decoder"))
    trainer = prepare(recipe, Plan(model, (str(SAMPLE),), SAMPLE, folder))
    result = trainer.run()
    terms = {line["step"]: line["dev document_terms"] for line in trainer.folder.lines() if "dev ndcg" in line}
    seconds = time.perf_counter() - started
    return Row(name, recipe.system, seconds, result.before, result.best, terms[result.best_step])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder of splade-tiny")
    parser.add_argument("names", nargs="*", help="recipes; all where none is given")
    given = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)  # of tensorboard
    print(f"{'recipe':18} {'system':20} {'seconds':>7} {'before':>7} {'after':>7} {'terms':>7}", flush=True)
    without = []
    for name in given.names or recipe_names():
        with tempfile.TemporaryDirectory() as place:
            row = trained(name, given.model, Path(place, "run"))
        print(
            f"{row.name:18} {row.system:20} {row.seconds:7.1f} {row.before:7.4f} {row.after:7.4f} {row.terms:7.1f}",
            flush=True,
        )
        if row.after < row.before + LEAST:
            without.append(name)
    if without:
        sys.exit(f"no gain of {LEAST} by {', '.join(without)}")


if __name__ == "__main__":
    main()
