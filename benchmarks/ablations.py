"""What is each part of the default model worth? Short runs that differ from its recipe in one thing each.

Figures are those of the last step, means over dev sets. With so few steps they say what a part brings early. ``--data``
may be a training folder, whose negatives the runs take.

    lsr mine pairs.parquet --out mined
    python benchmarks/ablations.py --model all-MiniLM-L6-v2 --other splade-tiny --data mined
        --teacher splade-tiny --teacher all-MiniLM-L6-v2 --teacher bm25
        --dev nfcorpus.zip:train --dev data/dev --work runs --steps 500
"""

from __future__ import annotations

import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jobs import Job, did_one_job, markdown, options, parsed, run_jobs, worker_option, write
from safetensors.numpy import load_file, save_file

from lsr.encoders.declaration import read_system, write_declaration
from lsr.encoders.neural import write_manifest
from lsr.training.data.sources import read_data
from lsr.training.recipe import Recipe, merged, read_recipe
from lsr.training.student.stem_initialisation import write_start

TEXTS = 20_000  # that stems are counted in
ALONE = 1e-6  # weight of teachers that say nothing
POOLED, LARGEST = "pooled-stems", "stems"
STARTS = {"base": POOLED, "largest": LARGEST, "other": POOLED}  # system of each untrained encoder
(DENSE,) = msgspec.to_builtins(read_recipe("default"))["teaching"]["targets"]
SPARSE = {"teacher": 0, "factor": 0.25, "above": 0.1, "normed": True}
STEMS = msgspec.structs.replace(
    read_recipe("default").stems, min_word_piece_count=0
)  # few texts say little of word-pieces
# Name: what differs, the change in the recipe, and the start if it is another.
VARIANTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "default": ("as it is", {}, "base"),
    "fixed counts": (
        "weights of literal terms stay those of BM25",
        {"freeze": ("parts.prior", "parts.counts")},
        "base",
    ),
    "no literal part": ("only what the vocabulary head says", {}, "expansions"),
    "largest token": ("stems fired by the largest token instead of the mean", {"system": LARGEST}, "largest"),
    "binary queries": ("every query term weighs 1", {"freeze": ("parts.prior", "parts.table")}, "ones"),
    "IDF queries": ("the table stays what it was", {"freeze": ("parts.prior", "parts.table")}, "base"),
    "splade-tiny teaches": ("alone", {"teaching": {"weights": (1.0, ALONE, ALONE)}}, "base"),
    "MiniLM teaches": ("alone", {"teaching": {"weights": (ALONE, 1.0, ALONE)}}, "base"),
    "BM25 teaches": ("alone", {"teaching": {"weights": (ALONE, ALONE, 1.0)}}, "base"),
    "S = 10": ("scale of the teachers, not 30", {"teaching": {"scale": 10.0}}, "base"),
    "S = 100": ("", {"teaching": {"scale": 100.0}}, "base"),
    "nothing copied": ("no SparseMSE", {"losses": {"sparse_mse": 0.0}}, "base"),
    "both copied": ("splade-tiny too", {"teaching": {"targets": (DENSE, SPARSE)}}, "base"),
    "splade-tiny copied": ("and not MiniLM", {"teaching": {"targets": (SPARSE,)}}, "base"),
    "no ensemble": ("copies alone", {"losses": {"kl": 0.0, "info_nce": 0.0}}, "base"),
    "l0 mask": ("documents of 120 terms or fewer are left alone", {"document": {"above": 120}}, "base"),
    "L1": ("instead of FLOPS", {"document": {"norm": "l1"}}, "base"),
    "plain FLOPS": ("of weights times IDF; the recipe's is IDF-aware", {"document": {"scored": True}}, "base"),
    "DF-FLOPS": ("frequent terms pay more", {"document": {"frequency": True}}, "base"),
    "no negatives": ("documents of other queries alone", {"negatives": 0}, "base"),
    "other body": ("that of --other: its size is what differs", {}, "other"),
}


def make_starts(arguments: Namespace) -> None:
    """The untrained encoders that runs start from, once."""
    texts = read_data(arguments.data).documents
    texts = texts[:: max(1, len(texts) // TEXTS)]
    for name, system in STARTS.items():
        model = arguments.other if name == "other" else arguments.model
        if model and not (folder := start_of(name, arguments)).exists():
            write_start(read_system(system), model, texts, STEMS, folder)
    base = start_of("base", arguments)
    if not (folder := start_of("ones", arguments)).exists():
        shutil.copytree(base, folder)
        place = folder / "query" / "parts.safetensors"
        parts = load_file(place)
        save_file(parts | {"table": np.ones_like(parts["table"])}, place)
        write_manifest(folder, None)
    if not (folder := start_of("expansions", arguments)).exists():
        shutil.copytree(base, folder)
        declaration = read_system(POOLED)
        bare = declaration.replace(document=msgspec.structs.replace(declaration.document, gates=()))
        (folder / "encoder.toml").write_text(write_declaration(bare), encoding="utf-8")
        write_manifest(folder, None)


def start_of(name: str, arguments: Namespace) -> Path:
    return Path(arguments.work / "starts" / name)


def recipe(changes: dict[str, Any], arguments: Namespace) -> Recipe:
    """The default recipe, cut to the steps and batch asked for, with ``changes``."""
    short = {
        "steps": arguments.steps,
        "batch": arguments.batch,
        "average": 0.98,
        "document_length": arguments.length,
        "evaluate_every": arguments.steps,
        "checkpoint_every": arguments.steps,
        "teaching": {"teachers": arguments.teacher},
    }
    return msgspec.convert(merged(merged(msgspec.to_builtins(read_recipe("default")), short), changes), Recipe)


def show(found: dict[str, dict[str, float]]) -> str:
    base = found["default"]["dev ndcg"]
    sets = [key for key in found["default"] if key.startswith("dev ndcg ")]
    head = ["run", "what differs", "nDCG@10", "change", *(key.removeprefix("dev ndcg ") for key in sets), "terms"]
    rows = []
    for name, values in found.items():
        columns = [
            f"{values['dev ndcg']:.4f}",
            f"{values['dev ndcg'] - base:+.4f}",
            *(f"{values[k]:.4f}" for k in sets),
        ]
        rows.append([name, VARIANTS[name][0], *columns, f"{values['dev document_terms']:.0f}"])
    return markdown(head, rows)


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    options(parser)
    worker_option(parser)
    parser.add_argument("--other", type=Path, help="folder of a network of another size, for the variant 'other body'")
    parser.add_argument("--teacher", action="append", required=True, help="three: sparse, dense, bm25")
    parser.add_argument("--only", nargs="+", choices=sorted(VARIANTS), help="these, and the default")
    arguments = parsed(parser)
    if did_one_job(arguments):
        return
    make_starts(arguments)
    known = [name for name in VARIANTS if name != "other body" or arguments.other]
    chosen = [name for name in known if not arguments.only or name in (*arguments.only, "default")]
    jobs = [
        Job(name, recipe(VARIANTS[name][1], arguments), 0, str(start_of(VARIANTS[name][2], arguments)))
        for name in chosen
    ]
    found = run_jobs(jobs, arguments)
    write("ablations", {"runs": found}, show(found), arguments)


if __name__ == "__main__":
    main()
