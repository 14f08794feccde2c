"""Train an encoder from nothing, then adapt it to a corpus without labels: less than a minute of one core.

    pip install '.[train]'
    python examples/train_and_adapt.py

A network of two small layers and random weights learns from titles of the sample which words of the texts under them
matter, and is measured on the judged queries. A real run differs in the weights it starts from, the data and the hours.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from msgspec.structs import replace

try:
    import torch
    from transformers import BertConfig, BertForMaskedLM
    from transformers.utils.logging import disable_progress_bar
except ImportError:
    raise SystemExit("training needs torch: pip install '.[train]' in the clone") from None

from lsr.corpus import DocumentReader
from lsr.encoders.registry import folder_of
from lsr.training.adaptation.adaptation import Adaptation, adapt
from lsr.training.loop.session import Plan, prepare
from lsr.training.loop.validation import read_dev
from lsr.training.recipe import read_recipe

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "sample"
WIDTH = 32
STEPS = 20


def tiny_network(folder: Path) -> Path:
    """A BERT that knows nothing, with the word-pieces of the default model."""
    torch.manual_seed(0)
    disable_progress_bar()
    pieces = folder_of("default") / "base" / "tokenizer.json"
    shape = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(json.loads(pieces.read_text())["model"]["vocab"]), **shape)
    BertForMaskedLM(config).save_pretrained(folder)
    shutil.copyfile(pieces, folder / "tokenizer.json")
    return folder


def main(folder: Path) -> None:
    """Train, then adapt; every file of both runs lies in ``folder``."""
    network = tiny_network(folder / "network")
    recipe = replace(read_recipe("stems", "tiny"), steps=STEPS, batch=16, document_length=96, evaluate_every=STEPS)
    result = prepare(recipe, Plan(network, (str(SAMPLE),), SAMPLE, folder / "run")).run()
    print(f"trained {result.steps} steps of {recipe.title}")
    print(f"nDCG@10 on the judged queries: {result.before:.4f} before, {result.best:.4f} at step {result.best_step}")

    documents = list(DocumentReader([SAMPLE]))
    settings = Adaptation(steps=5)
    report = adapt(documents, folder / "run" / "encoder", folder / "adapted", settings, read_dev(SAMPLE))
    asked = report.held_out.differences["nDCG@10"]
    print(f"adapted in {report.steps} steps on {report.pairs} questions that the corpus asks of itself")
    print(f"nDCG@10 on questions kept back: {asked.a:.4f} before, {asked.b:.4f} after: {report.conclusion}")
    print("written" if report.written else "not written: only what is clearly better is")


if __name__ == "__main__":  # texts are cut into word-pieces by processes that read this file again
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
