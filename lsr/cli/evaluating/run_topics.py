"""What does `lsr eval` do without judgements? It asks the topics and writes what was found, as a run."""

from __future__ import annotations

from pathlib import Path

from lsr.cli.console import progress_bars, say
from lsr.cli.evaluating.topics import with_topics
from lsr.errors import InputError
from lsr.eval import Question, check_run_ids, depth_of, parse_measures, write_run
from lsr.measuring.systems import SparseSystem, Way, answer
from lsr.retrieval import Searcher


def write_topics_run(question: Question, out: Path) -> None:
    """Ask every topic of an index and write ``out``; say how many results there are.

    Args:
        question: index, topics, how to search, and measures, which say how many results a query needs (1,000 where
            there are none); its dataset is not read.
        out: the run file.

    Raises:
        InputError: bad topics, or ids that the file cannot hold.
    """
    if not question.index or not question.topics:
        raise InputError("a run without judgements needs --index DIR and --topics FILE")
    depth = depth_of(parse_measures(question.measures))
    searcher, texts = with_topics(Searcher.open(question.index), Path(question.topics), question.topic_field)
    check_run_ids(out, texts)
    system = SparseSystem(searcher, Way(exact=question.exact))
    with progress_bars() as bars:
        task = bars.add_task("searching", total=len(texts), unit="queries", items=0)
        run = answer(system, texts, depth, lambda done: bars.update(task, completed=done, items=done))
    write_run(out, run)
    results = sum(map(len, run.values()))
    say(f"wrote {out}: {len(run):,} queries, {results:,} results ({system.way.name} search, at most {depth:,} a query)")
    if empty := sum(not ranking for ranking in run.values()):
        say(f"{empty:,} queries found nothing and have no line in the run")
