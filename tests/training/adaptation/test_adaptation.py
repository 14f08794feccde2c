"""An encoder learns a corpus without labels, is judged on questions kept back, and is written only if that helped."""

import json
import random
import re

import numpy as np
import pytest

from lsr.corpus import Document, DocumentReader
from lsr.encoders import load
from lsr.encoders.declaration import read_system
from lsr.encoders.expanded import ExpandedEncoder
from lsr.errors import InputError, TrainingError
from lsr.eval import compare
from lsr.training.adaptation.adaptation import Adaptation, adapt, is_written
from lsr.training.adaptation.paired_comparison import by_kind, conclusion, measure
from lsr.training.adaptation.pseudo_queries import KINDS, LONGEST, Questioner
from lsr.training.adaptation.split import kind_of, split
from lsr.training.data.sources import Raw, TrainingData, read_data
from lsr.training.recipe import StemChoice
from lsr.training.student.stem_initialisation import write_start
from lsr.training.teachers.expander import expand
from tests.conftest import SAMPLE
from tests.encoders.models import WORDS, bert

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
RECIPE = """
title = "Small"
paper = "none"
system = "splade-v2"
steps = 1
batch = 8
negatives = 1
rate = {{ value = {rate} }}
losses = {{ info_nce = 1.0, kl = 0.1 }}
dropout = false
[teaching]
teachers = ["scores"]
"""


@pytest.fixture(scope="module")
def sample():
    return list(DocumentReader([SAMPLE]))


def test_what_a_question_takes_is_cut_out_of_its_document(sample):
    questioner = Questioner(sample)
    for row, document in enumerate(sample):
        found = {question.kind: question for question in questioner.ask(row)}
        assert {"span", "terms"} <= set(found) <= set(KINDS)
        assert (found["title"].text, found["title"].left) == (document.title, document.text)
        assert found["terms"].left == document.full_text
        for kind in ("sentence", "span"):
            if kind in found:
                question = found[kind]
                assert question.text in " ".join(document.text.split())
                kept, words = len(question.left.split()), len(document.full_text.split())
                assert kept + len(question.text.split()) <= words
        share = len(found["span"].text.split()) / len(document.text.split())
        assert 0.09 < share < 0.31 or len(found["span"].text.split()) == LONGEST


def test_headings_are_asked_for_the_text_under_them():
    text = "# Honey bees\nBees dance to tell other bees where the flowers of the garden are.\n"
    text += "Castle walls\nA castle had thick walls and a moat, and a gate that was shut at night."
    found = {
        q.text: q.left
        for seed in range(9)
        for q in Questioner([Document("a", "", text)], seed).ask(0)
        if q.kind == "heading"
    }
    assert found["Honey bees"].startswith("Bees dance")
    assert found["Honey bees"].endswith("garden are.")
    assert found["Castle walls"].startswith("A castle had")


def test_key_terms_are_rare_words_that_another_document_has_too(sample):
    questioner = Questioner(sample)
    frequency: dict[str, int] = {}
    for document in sample:
        for word in set(re.findall(r"\w[\w-]+", document.full_text.lower())):
            frequency[word] = frequency.get(word, 0) + 1
    words = [word for row in range(50) for q in questioner.ask(row) if q.kind == "terms" for word in q.text.split()]
    assert min(frequency[word] for word in words) == 2
    assert np.mean([frequency[word] for word in words]) < 0.2 * np.mean(
        [frequency[w] for d in sample[:50] for w in re.findall(r"\w[\w-]+", d.full_text.lower())]
    )


def test_no_document_is_learned_from_and_judged_by(sample):
    parts, again = split(sample, 1), split(sample, 1)
    assert parts == again
    learned = {question.document for question in parts.train}
    judged = [{int(name) for grades in task.qrels.values() for name in grades} for task in (parts.dev, parts.held_out)]
    assert not judged[0] & judged[1]
    assert not (judged[0] | judged[1]) & learned
    for task in (parts.dev, parts.held_out):
        for query, grades in task.qrels.items():
            (name,) = grades
            if kind_of(query) != "terms":
                assert task.queries[query] not in task.documents[name]
    assert {kind_of(query) for query in parts.held_out.queries} >= {"title", "sentence", "span", "terms"}


def test_too_few_documents_are_refused():
    with pytest.raises(TrainingError, match="wanted more documents"):
        split([Document("a", "", "one two three")])


def test_a_verdict_needs_an_interval_on_one_side_of_zero():
    rng = np.random.default_rng(0)
    before = {f"q{i}": float(x) for i, x in enumerate(rng.random(50))}
    for shift, wanted in ((0.1, "better"), (-0.1, "worse"), (0.0, "no clear difference")):
        after = {q: x + shift + 0.1 * float(rng.normal()) * (shift != 0) for q, x in before.items()}
        assert conclusion(compare(before, after)) == wanted
    assert by_kind({"a-1": 1.0, "a-2": 0.0, "b-1": 0.5}, {"a-1": "a", "a-2": "a", "b-1": "b"}) == {"a": 0.5, "b": 0.5}


def corpus(n=60):
    """Documents of five words each, in the title and over and over in the text."""
    rng = random.Random(0)
    topics = [rng.sample(WORDS, 5) for _ in range(n)]
    return [
        Document(f"d{i}", " ".join(topic[:3]), " ".join(rng.choices(topic, k=14))) for i, topic in enumerate(topics)
    ]


def test_an_encoder_that_is_not_better_is_refused_unless_forced(tmp_path):
    (tmp_path / "slow.toml").write_text(RECIPE.format(rate=1e-12))
    model, documents = bert(tmp_path / "bert"), corpus()
    slow = Adaptation(str(tmp_path / "slow.toml"), steps=10**6, minutes=1e-6)
    refused = adapt(documents, model, tmp_path / "refused", slow)
    assert (refused.conclusion, refused.written, refused.steps) == ("no clear difference", False, 1)
    assert not (tmp_path / "refused" / "encoder").exists()
    assert json.loads((tmp_path / "refused" / "report.json").read_text())["conclusion"] == "no clear difference"
    with pytest.raises(InputError, match="in use: choose a new folder"):
        adapt(documents, model, tmp_path / "refused", slow)


def test_the_encoder_that_is_written_gives_what_the_report_says(tmp_path):
    (tmp_path / "slow.toml").write_text(RECIPE.format(rate=1e-12))
    documents, stages = corpus(), []
    task = split(documents).held_out
    settings = Adaptation(str(tmp_path / "slow.toml"), steps=2, force=True)
    report = adapt(
        documents,
        bert(tmp_path / "bert"),
        tmp_path / "out",
        settings,
        task,
        lambda stage, done, total: stages.append(stage),
    )
    assert report.written
    assert report.judged is not None
    assert report.judged.differences == report.held_out.differences
    found = measure(load(tmp_path / "out" / "encoder", device="cpu"), task)
    assert found.means == pytest.approx(report.held_out.after.means)
    kinds = {kind: sum(kind_of(query) == kind for query in task.queries) for kind in report.held_out.kinds}
    total = sum(report.held_out.kinds[kind][1] * count for kind, count in kinds.items())
    assert total == pytest.approx(found.means["nDCG@10"] * len(task.queries))
    assert len(read_data([tmp_path / "out" / "data"]).examples[0]) == report.pairs
    assert {"train", "measure before", "measure after"} <= set(stages)


@pytest.mark.parametrize("force", [False, True])
def test_a_better_one_is_always_written_a_worse_one_never(force):
    assert is_written("better", force)
    assert not is_written("worse", force)
    assert is_written("no clear difference", force) == force


def test_what_a_second_encoder_adds_stays(tmp_path):
    documents = corpus()
    texts = [document.full_text for document in documents]
    start = write_start(
        read_system("pooled-stems"),
        bert(tmp_path / "bert"),
        texts,
        StemChoice(named=30, buckets=16, rows=20),
        tmp_path / "start",
    )
    pairs = TrainingData()
    pairs.add([Raw(" ".join(text.split()[:3]), [text]) for text in texts], "pairs")
    expand(start, bert(tmp_path / "splade", seed=1), pairs, tmp_path / "folded", 0.5)
    report = adapt(documents, tmp_path / "folded", tmp_path / "out", Adaptation(steps=2, force=True))
    assert report.written
    before, after = (load(place, device="cpu") for place in (tmp_path / "folded", tmp_path / "out" / "encoder"))
    assert isinstance(before, ExpandedEncoder)
    assert isinstance(after, ExpandedEncoder)
    assert after.expander.fingerprint == before.expander.fingerprint
    task = split(documents).held_out
    assert measure(after, task).means == pytest.approx(report.held_out.after.means)


def test_what_cannot_adapt_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="no sparse network"):
        adapt(corpus(), "bm25", tmp_path / "out", Adaptation())  # type: ignore[arg-type]
