"""What does `lsr convert` do? Brings vectors, or runs and true neighbours, from one format into another."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from lsr.cli.console import facts, out, progress_bars, readable_bytes, say
from lsr.errors import InputError
from lsr.eval import (
    read_run,
    run_of_ground_truth,
    write_ground_truth_run,
    write_json_run,
    write_msmarco_run,
    write_trec_run,
)
from lsr.formats import Conversion, Quantiser, convert
from lsr.formats.vectors import EXACT
from lsr.retrieval.index_source import vector_source

RUN_ENDINGS = {".gt": "gt", ".run": "trec-run", ".trec": "trec-run"}
TARGETS = {**RUN_ENDINGS, ".tsv": "msmarco-run", ".json": "json-run"}  # of a run; such sources may be vectors
WRITERS = {
    "gt": write_ground_truth_run,
    "trec-run": write_trec_run,
    "msmarco-run": write_msmarco_run,
    "json-run": write_json_run,
}


def command(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="File or folder of vectors, or an index; or a run.")],
    out: Annotated[Path, typer.Argument(metavar="DST", help="File to write. An existing file is replaced.")],
    from_format: Annotated[
        str | None, typer.Option("--from", metavar="FORMAT", help="Format of SRC.  [default: from its name]")
    ] = None,
    to_format: Annotated[
        str | None, typer.Option("--to", metavar="FORMAT", help="Format of DST.  [default: from its name]")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Multiply weights and round them to whole numbers, 100 for SPLADE.")
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(help="Instead of --scale: scale so that the largest weight fits this many bits, 8 for uniCOIL."),
    ] = None,
) -> None:
    """Convert vectors from one format into another, streaming.

    Of vectors: anserini, anserini-topics, seismic, seismic-bin, csr, ciff, parquet.
    Of runs: gt, trec-run, msmarco-run, json-run.

    Example: lsr convert vectors.parquet vectors.ciff --scale 100
    """
    of_run = from_format or RUN_ENDINGS.get(source.suffix)
    if of_run is None and (to_format in WRITERS or out.suffix in (".run", ".trec")):
        of_run = TARGETS.get(source.suffix, "trec-run")
    if of_run in WRITERS:
        _convert_run(source, out, of_run, to_format)
        return
    started = time.perf_counter()
    vectors = vector_source(source, from_format)
    with progress_bars() as bars:
        task = bars.add_task("converting", total=vectors.size, items=0, unit="vectors")
        summary = convert(
            vectors,
            out,
            to_format,
            Quantiser(scale, bits),
            lambda n: bars.update(task, completed=vectors.position, items=n),
        )
        bars.update(task, completed=vectors.size)
    _print(summary, out, time.perf_counter() - started)


def _convert_run(source: Path, path: Path, from_format: str, to_format: str | None) -> None:
    target = to_format or TARGETS.get(path.suffix)
    if target not in WRITERS:
        raise InputError(f"{path}: {source} is a run; give --to with one of {', '.join(WRITERS)}")
    found = run_of_ground_truth(source) if from_format == "gt" else read_run(source)
    WRITERS[target](path, found)
    say(f"wrote {path}: {len(found):,} queries ({from_format} to {target})")


def _print(summary: Conversion, path: Path, seconds: float) -> None:
    size = path.stat().st_size
    rows = [
        ("formats", f"{summary.source} to {summary.target}"),
        ("vectors", f"{summary.vectors:,}"),
        ("terms", f"{summary.terms:,}"),
        ("non-zeros", f"{summary.nonzeros:,} ({summary.nonzeros / summary.vectors:.1f} a vector)"),
        ("empty vectors", f"{summary.empty:,}"),
        ("bytes", f"{size:,} ({readable_bytes(size)})"),
        ("seconds", f"{seconds:.1f} ({summary.vectors / max(seconds, 1e-9):,.0f} vectors/s)"),
    ]
    if summary.rounded:
        rows.append(("rounded weights", f"{summary.rounded:,} whole numbers above {EXACT:,} (float32)"))
    if loss := summary.rounding:
        rows += [
            ("scale", f"{loss.scale:g}"),
            ("rounded to 0", f"{loss.dropped:,} of {loss.weights:,} weights"),
            ("largest error", f"{loss.worst:.4g}"),
            ("weight moved", f"{loss.share:.3%}"),
        ]
    out.print(facts(rows))
