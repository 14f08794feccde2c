"""Which commands are there? Each is declared here and done in a module of its own, imported when called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lsr._version import __version__
from lsr.cli.encoding.encoders_app import encoders_app
from lsr.cli.evaluating.data_app import data_app
from lsr.cli.help import ENCODING, EVALUATING, SEARCHING, TRAINING, Command, Group

app = typer.Typer(
    cls=Group,
    help="Learned sparse retrieval: index documents, search them, serve them, evaluate encoders.\n\n"
    "Example: lsr index corpus.jsonl --out my-index, then lsr search my-index why bees dance",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_ID_FIELD = typer.Option(help="Field that holds the id.  [default: _id or id]")
_TEXT_FIELD = typer.Option(help="Field that holds the text; several are joined in order.  [default: text]")
_TITLE_FIELD = typer.Option(help="Field that holds the title; several are joined in order.  [default: title]")


class _ManyMeasures(Command):
    """Lets ``--measures`` take several values in a row: ``--measures nDCG@10 R@100 DATASET``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spread: list[str] = []
        taking = False
        for arg in args:
            if taking and spread[-1] != "--measures" and not arg.startswith("-") and _is_measure(arg):
                spread.append("--measures")
            elif not (spread and spread[-1] == "--measures"):
                taking = arg.partition("=")[0] == "--measures"
            spread.append(arg)
        return super().parse_args(ctx, spread)


def _is_measure(word: str) -> bool:
    """Whether a word after --measures is one more; what is neither that nor a place is a mistake, and is said."""
    from lsr.errors import InputError
    from lsr.eval.measures.names import parse_measures

    if Path(word).exists() or any(mark in word for mark in "/:\\") or Path(word).suffix[1:].isalpha():
        return False
    try:
        return bool(parse_measures([word]))
    except InputError as fault:
        raise InputError(f"{fault}" if "@" in word else f"{fault}; and no file or folder has this name") from None


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lsr {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


Language = Annotated[
    str | None,
    typer.Option(help="Of bm25's stemmer and stop words: german, french, ..., or none.  [default: english]"),
]


@app.command("index", rich_help_panel=SEARCHING, cls=Command)
def index_command(  # noqa: PLR0913 - one parameter an option
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="JSONL (.gz too), BEIR folder or zip, MS MARCO TSV, Parquet, or - for JSONL on standard input; "
            "or vectors: .csr, .bin, .ciff, Parquet of lsr encode, an index, and with --vectors JSONL.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the index; one that is there is replaced at the end.")],
    encoder: Annotated[
        str | None, typer.Option(help="bm25, default, or the folder of a model.  [default: default; none with vectors]")
    ] = None,
    language: Language = None,
    engine: Annotated[str, typer.Option(help="windowed, or seismic.")] = "windowed",
    id_field: Annotated[list[str] | None, _ID_FIELD] = None,
    text_field: Annotated[list[str] | None, _TEXT_FIELD] = None,
    title_field: Annotated[list[str] | None, _TITLE_FIELD] = None,
    vectors: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="Index the vectors in the files: auto, or a format of lsr convert."),
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Let ir_datasets fetch what irds:NAME lacks.")] = False,
) -> None:
    """Encode documents and make them an index; or index vectors as they are.

    Example: lsr index corpus.jsonl --out my-index
    """
    from lsr.cli.searching.index import run
    from lsr.corpus import Fields
    from lsr.encoders.registry import in_language

    _fetch(sources if download else [])
    encoder = in_language(encoder, language)
    run(sources, out, encoder, engine, Fields(id_field, text_field, title_field), vectors)


def _fetch(sources: list[str]) -> None:
    from lsr.corpus import irds

    for source in filter(irds.is_irds, sources):
        irds.fetch(source)


@app.command("convert", rich_help_panel=ENCODING, cls=Command)
def convert_command(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="File or folder of vectors, or an index; or a run.")],
    out: Annotated[Path, typer.Argument(metavar="DST", help="File to write; one that is there is replaced.")],
    from_format: Annotated[
        str | None, typer.Option("--from", metavar="FORMAT", help="Format of SRC.  [default: what its name says]")
    ] = None,
    to_format: Annotated[
        str | None, typer.Option("--to", metavar="FORMAT", help="Format of DST.  [default: what its name says]")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Multiply weights and round them to whole numbers, 100 for SPLADE.")
    ] = None,
    bits: Annotated[
        int | None, typer.Option(help="Or: scale so that the largest weight fills so many bits, 8 for uniCOIL.")
    ] = None,
) -> None:
    """Convert vectors from one format into another, streaming.

    Of vectors: anserini, anserini-topics, seismic, seismic-bin, csr, ciff, parquet.
    Of runs: gt, trec-run, msmarco-run, json-run.

    Example: lsr convert vectors.parquet vectors.ciff --scale 100
    """
    from lsr.cli.encoding.convert import run
    from lsr.formats import Quantiser

    run(source, out, from_format, to_format, Quantiser(scale, bits))


@app.command("search", rich_help_panel=SEARCHING, cls=Command)
def search_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an index.")],
    query: Annotated[list[str], typer.Argument(metavar="QUERY", help="What to look for; several words are one query.")],
    k: Annotated[int, typer.Option("-k", help="Number of hits.", min=1)] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Leave nothing out that could matter; so it is without --recall.")
    ] = False,
    recall: Annotated[
        float | None, typer.Option(help="Share of the true best k to find on average, as 0.95 (see lsr tune).")
    ] = None,
    explained: Annotated[bool, typer.Option("--explain", help="Show what each term adds to a score.")] = False,
) -> None:
    """Search an index and show why each hit was found.

    Example: lsr search my-index "rotten teeth from eating sweets" --explain
    """
    from lsr.cli.searching.search import run

    run(folder, " ".join(query), k, as_json, explained, exact, recall)


@app.command("serve", rich_help_panel=SEARCHING, cls=Command)
def serve_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an index.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8080,
) -> None:
    """Serve an index over HTTP: POST /v1/search, GET /healthz, documentation at /docs.

    Example: lsr serve my-index --port 8080
    """
    from lsr.cli.searching.serve import run

    run(folder, host, port)


Dataset = Annotated[
    str | None,
    typer.Argument(
        metavar="DATASET",
        help="Judged collection: a BEIR folder or zip, or a folder of MS MARCO, TREC, WANDS or ESCI; irds:NAME; "
        "with --topics and --index also a file of judgements.",
    ),
]
Measures = Annotated[
    list[str] | None, typer.Option(metavar="NAME...", help="Names of ir-measures.  [default: nDCG@10 RR@10 R@100]")
]
ConventionName = Annotated[
    str,
    typer.Option(help="trec (missing queries count 0) or beir (they do not, and documents of the query's id go)."),
]
RunFile = Annotated[
    Path | None, typer.Option("--run", help="Write the results: a TREC run, or .tsv (MS MARCO), or .json.")
]
BaselineRun = Annotated[
    Path | None, typer.Option(metavar="RUN", help="With --report: a run to compare with, query by query.")
]
CertificateFile = Annotated[
    Path | None, typer.Option(metavar="FILE.json", help="Write all that decided the numbers, for --verify.")
]
StatedFile = Annotated[
    Path | None, typer.Option(metavar="FILE.json", help="Measure again what a certificate states, and compare.")
]
TopicsFile = Annotated[
    Path | None, typer.Option(help="Ask these instead: TREC topics, id TAB text, or vectors of queries.")
]


@app.command("eval", rich_help_panel=EVALUATING, cls=_ManyMeasures)
def eval_command(  # noqa: PLR0913 - one parameter an option
    dataset: Dataset = None,
    encoder: Annotated[
        str | None, typer.Option(help="bm25, default, or the folder of a model.  [default: default]")
    ] = None,
    language: Language = None,
    index: Annotated[Path | None, typer.Option(help="Evaluate this index, as it is served.")] = None,
    measures: Measures = None,
    split: Annotated[str | None, typer.Option(help="Judgements to use.  [default: test, or else dev]")] = None,
    convention: ConventionName = "trec",
    exact: Annotated[bool, typer.Option("--exact", help="With --index: search exactly.")] = False,
    threads: Annotated[int, typer.Option(help="Threads for queries a second.", min=1)] = 1,
    run_file: RunFile = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the measured values as JSON.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write tables and charts.")] = None,
    baseline: BaselineRun = None,
    certificate: CertificateFile = None,
    verify: StatedFile = None,
    topics: TopicsFile = None,
    topic_field: Annotated[str | None, typer.Option(help="Of TREC topics.  [default: title or query]")] = None,
    download: Annotated[bool, typer.Option("--download", help="Let ir_datasets fetch what irds:NAME lacks.")] = False,
) -> None:
    """Measure an encoder, or a finished index, on a judged collection.

    Without DATASET, --index, --topics and --run write a run of all topics.

    With --verify exit code 1 says that something differs; DATASET, --encoder and --index say where things lie now.

    Example: lsr eval scifact.zip --encoder bm25 --measures nDCG@10 R@100
    """
    from lsr.cli.evaluating import evaluate
    from lsr.cli.evaluating.outputs import Outputs
    from lsr.encoders.registry import in_language
    from lsr.eval import Question

    encoder = in_language(encoder, language)
    place = str(index) if index else None
    if verify:
        if not evaluate.verify(verify, {"dataset": dataset, "encoder": encoder, "index": place}):
            raise typer.Exit(1)
        return
    _fetch([dataset] if download and dataset else [])
    question = Question(
        dataset=dataset or "",
        encoder=encoder,
        index=place,
        measures=tuple(measures or ()),
        split=split,
        convention=convention,
        exact=exact,
        threads=threads,
        topics=str(topics) if topics else None,
        topic_field=topic_field,
    )
    outputs = Outputs(run_file, json_file, report, certificate, baseline)
    evaluate.start(question, outputs)


@app.command("compare", rich_help_panel=EVALUATING, cls=_ManyMeasures)
def compare_command(
    a: Annotated[Path, typer.Argument(metavar="A.run", help="Run to compare with.")],
    qrels: Annotated[str, typer.Option(help="Judged collection, or a file of judgements (TREC or BEIR).")],
    b: Annotated[
        list[Path] | None, typer.Argument(metavar="B.run", help="Runs that may be better; without, A is measured.")
    ] = None,
    measures: Annotated[
        list[str] | None, typer.Option(metavar="NAME...", help="Names of ir-measures.  [default: nDCG@10 RR@10 R@100]")
    ] = None,
    convention: Annotated[str, typer.Option(help="trec or beir, as for lsr eval.")] = "trec",
    shown: Annotated[int, typer.Option("--queries", help="Show so many of the largest differences.", min=0)] = 5,
) -> None:
    """Compare runs by query: means, wins and losses, paired tests corrected for their number.

    Example: lsr compare bm25.run splade.run --qrels scifact.zip
    """
    from lsr.cli.evaluating.compare import run

    run(a, b or [], qrels, measures or [], convention, shown)


@app.command("fuse", rich_help_panel=EVALUATING, cls=Command)
def fuse_command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Two or more run files.")],
    out: Annotated[Path, typer.Option("--out", help="Run to write: TREC, or .tsv or .json as for lsr eval.")],
    method: Annotated[str, typer.Option(help="rrf, min-max (scores scaled to 0..1 by query) or linear.")] = "rrf",
    weights: Annotated[list[float] | None, typer.Option("--weight", help="One for each run, in order.")] = None,
    depth: Annotated[int, typer.Option(help="Results kept for a query.", min=1)] = 1000,
) -> None:
    """Merge several runs into one.

    Example: lsr fuse bm25.run splade.run --out fused.run
    """
    from lsr.cli.evaluating.fuse import run

    run(runs, out, method, weights, depth)


@app.command("bench", rich_help_panel=EVALUATING, cls=Command)
def bench_command(
    suite: Annotated[Path, typer.Argument(metavar="SUITE.toml", help="Systems and collections.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of cells and vectors.  [default: NAME.bench]")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder for NAME.md, NAME.json and NAME.html.  [default: that of --out]")
    ] = None,
    stop_after: Annotated[float | None, typer.Option(metavar="MINUTES", help="Stop then; a later run goes on.")] = None,
) -> None:
    """Measure encoders, engines, fusions and runs of others on many collections; started again, the work goes on.

    Example: lsr bench benchmarks/suites/sample.toml
    """
    from lsr.cli.evaluating.bench import run

    run(suite, out, results, stop_after)


@app.command("tune", rich_help_panel=SEARCHING, cls=Command)
def tune_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an index.")],
    recall: Annotated[
        float, typer.Option(help="Share of the true best 10 that searches shall find on average.")
    ] = 0.95,
    queries: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Real queries, read as documents are.  [default: titles of documents]"),
    ] = None,
    at_most: Annotated[int, typer.Option(help="Use so many queries.", min=20)] = 1000,
) -> None:
    """Find the fastest settings of an index that give a recall, measured against exact search, and keep them.

    Example: lsr tune my-index --recall 0.95 --queries queries.jsonl
    """
    from lsr.cli.searching.tune import run

    run(folder, recall, queries, at_most)


@app.command("check", rich_help_panel=SEARCHING, cls=Command)
def check_command(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an index.")]) -> None:
    """Verify every file of an index against its checksum.

    Example: lsr check my-index
    """
    from lsr.cli.searching.check import run

    run(folder)


@app.command("encode", rich_help_panel=ENCODING, cls=Command)
def encode_command(  # noqa: PLR0913 - one parameter an option
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE", help="Documents, in any layout of lsr index.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write; started again, the work goes on.")],
    encoder: Annotated[str, typer.Option(help="bm25, default, or the folder of a model.")] = "default",
    language: Language = None,
    devices: Annotated[
        str | None, typer.Option(help="cpu, cuda:0, or several: cuda:0,cuda:1.  [default: every GPU, or the CPU]")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="bfloat16 on a GPU.")] = False,
    id_field: Annotated[list[str] | None, _ID_FIELD] = None,
    text_field: Annotated[list[str] | None, _TEXT_FIELD] = None,
    title_field: Annotated[list[str] | None, _TITLE_FIELD] = None,
) -> None:
    """Encode documents into a Parquet file of vectors.

    Example: lsr encode corpus.jsonl --encoder my-model --out vectors.parquet
    """
    from lsr.cli.encoding.encode import run
    from lsr.corpus import Fields
    from lsr.encoders.registry import in_language

    run(
        sources,
        out,
        in_language(encoder, language) or encoder,
        devices,
        half,
        Fields(id_field, text_field, title_field),
    )


@app.command("train", rich_help_panel=TRAINING, cls=Command)
def train_command(  # noqa: PLR0913  one for each option
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name from lsr train list, or a TOML file; or list.")],
    data: Annotated[
        list[str] | None,
        typer.Option(help="JSONL, Parquet, triples (.tsv), BEIR or training folder; may be repeated.  [needed]"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run.  [needed]")] = None,
    model: Annotated[Path | None, typer.Option(help="Folder of the weights to start from.  [needed]")] = None,
    dev: Annotated[
        list[str] | None, typer.Option(help="Judged sets to measure on, PATH or PATH:SPLIT.  [needed]")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Variant of the recipe: tiny takes minutes on a CPU.")] = None,
    teacher: Annotated[
        list[str] | None, typer.Option(help="bm25, scores, or the folder of an encoder, in place of the recipe's.")
    ] = None,
    mix: Annotated[
        list[float] | None,
        typer.Option(help="How often to draw from each --data, in order, as 3 and 1.  [default: by size]"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of order, dropout and new parts.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
) -> None:
    """Train an encoder by a recipe; "lsr train list" shows the recipes.

    Example: lsr train splade --data pairs.jsonl --dev scifact.zip --model my-weights --out my-run
    """
    from lsr.cli.training.train import list_recipes, run_named

    if recipe == "list":
        list_recipes()
    else:
        run_named(recipe, profile, (model, data, dev, out), tuple(teacher or ()), seed, resume, tuple(mix or ()))


@app.command("mine", rich_help_panel=TRAINING, cls=Command)
def mine_command(  # noqa: PLR0913  one for each option
    data: Annotated[list[str], typer.Argument(metavar="DATA", help="Pairs, in any layout of lsr train --data.")],
    out: Annotated[Path, typer.Option("--out", help="New folder; lsr train --data reads it.")],
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="bm25, or the folder of an encoder; given several times, negatives alternate.  [default: bm25]"
        ),
    ] = None,
    negatives: Annotated[int, typer.Option(help="Wanted for each pair.", min=1)] = 4,
    depth: Annotated[int, typer.Option(help="Candidates of a search, drawn from at random.", min=1)] = 100,
    skip: Annotated[int, typer.Option(help="Leave out so many of the best.", min=0)] = 0,
    share: Annotated[
        float,
        typer.Option("--filter", help="Drop what scores above this share of the positive; inf drops nothing."),
    ] = 0.95,
    judge: Annotated[
        str | None, typer.Option(help="Encoder whose scores decide that.  [default: the one that searches]")
    ] = None,
    scored: Annotated[bool, typer.Option("--scores", help="Write its scores, for teaching.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed finds the same negatives.")] = 0,
) -> None:
    """Find hard negatives for pairs: documents that an encoder takes for answers.

    Example: lsr mine pairs.parquet --out mined
    """
    from lsr.cli.training.mine import run
    from lsr.training.mining.mining import MiningSettings

    run(data, out, MiningSettings(tuple(encoder or ("bm25",)), negatives, depth, skip, share, judge, scored, seed))


@app.command("adapt", rich_help_panel=TRAINING, cls=Command)
def adapt_command(  # noqa: PLR0913  one for each option
    corpus: Annotated[list[str], typer.Argument(metavar="CORPUS", help="Documents, in any layout of lsr index.")],
    out: Annotated[Path, typer.Option("--out", help="New folder; the adapted encoder is OUT/encoder.")],
    encoder: Annotated[str, typer.Option(help="Folder of the encoder to tune, or default.")] = "default",
    recipe: Annotated[
        str | None, typer.Option(help="Name or TOML file.  [default: what suits the encoder's system]")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of training.", min=1)] = 60,
    minutes: Annotated[
        float | None, typer.Option(help="Take fewer steps, so that all takes about so long.", min=0.1)
    ] = None,
    judged: Annotated[
        Path | None, typer.Option(help="Judged collection to report on as well; it decides nothing.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write an encoder that is not clearly better too, but never a worse one.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of questions, order and choice.")] = 0,
) -> None:
    """Tune an encoder on your own documents, without labels; exit code 3 where that did not make it better.

    Example: lsr adapt corpus.jsonl --out adapted
    """
    from lsr.errors import require

    require("accelerate", "onnxscript", purpose="lsr adapt")
    from lsr.cli.training.adapt import run
    from lsr.encoders.registry import folder_of
    from lsr.training.adaptation.adaptation import Adaptation

    run(corpus, folder_of(encoder), out, Adaptation(recipe, steps, minutes, seed, force), judged)


app.add_typer(encoders_app, name="encoders", rich_help_panel=ENCODING)
app.add_typer(data_app, name="data", rich_help_panel=EVALUATING)


def command_names() -> dict[str, Any]:
    """The commands by name, for tests and documentation."""
    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
