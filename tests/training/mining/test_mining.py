"""Mined negatives are no answers, look like answers, and are the same for the same seed."""

import json

import numpy as np
import pytest

from lsr.encoders import load
from lsr.encoders.declaration import read_system
from lsr.encoders.network.assemble import untrained
from lsr.encoders.neural import NeuralEncoder
from lsr.errors import InputError
from lsr.training.data.examples import Answers
from lsr.training.data.sources import read_data
from lsr.training.mining.miners import DenseMiner, miner
from lsr.training.mining.mining import MiningSettings, mine
from tests.conftest import SAMPLE
from tests.encoders.models import bert


def data_of(folder, *records):
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_data([path])


BEES = [
    {"query": "bees dance", "pos": "bees dance to tell bees"},
    {"query": "bees dance", "pos": "a dance of bees"},
    {"query": "spring garden", "pos": "bees in spring"},
    {"query": "castle", "pos": "castle walls"},
    {"query": "tell bees", "pos": "BEES  dance to tell bees"},
    {"query": "other", "pos": "dance"},
]


def texts_of(data, mined):
    return {
        (data.queries[e.query], data.documents[e.documents[0]]): [data.documents[row] for row in e.documents[1:]]
        for e in mined.examples
    }


def test_negatives_are_neither_answers_nor_texts_like_them(tmp_path):
    data = data_of(tmp_path, *BEES)
    mined = mine(data, MiningSettings(negatives=9, share=np.inf))
    found = texts_of(data, mined)
    assert sorted(found["bees dance", "bees dance to tell bees"]) == ["bees in spring", "dance"]
    assert sorted(found["bees dance", "a dance of bees"]) == ["bees in spring", "dance"]
    assert sorted(found["tell bees", "BEES  dance to tell bees"]) == ["a dance of bees", "bees in spring"]
    assert found["castle", "castle walls"] == []
    assert (mined.report.pairs, mined.report.without, mined.report.filtered) == (6, 3, 0)
    assert mined.report.negatives == sum(map(len, found.values()))
    assert mined.report.short == 6


def test_the_filter_drops_what_scores_like_the_positive(tmp_path):
    data = data_of(tmp_path, *BEES)
    encoder = load("bm25")
    finder = miner(encoder, data.documents)
    everything = mine(data, MiningSettings(negatives=9, share=np.inf))
    for share in (0.3, 0.8, 1.0):
        mined = mine(data, MiningSettings(negatives=9, share=share))
        for kept, full in zip(mined.examples, everything.examples, strict=True):
            scores = finder.score(finder.encode([data.queries[full.query]]), np.array([full.documents]))[0]
            wanted = {row for row, score in zip(full.documents, scores, strict=True) if score <= share * scores[0]}
            assert set(kept.documents[1:]) == wanted - {full.documents[0]}
        assert mined.report.filtered == everything.report.negatives - mined.report.negatives


def test_a_seed_decides_and_batches_do_not_lose_a_pair(monkeypatch):
    data = read_data([SAMPLE])
    settings = MiningSettings(negatives=3, scored=True)
    first, again, other = mine(data, settings), mine(data, settings), mine(data, MiningSettings(negatives=3, seed=1))
    assert list(first.examples) == list(again.examples)
    assert list(first.examples) != list(other.examples)
    monkeypatch.setattr("lsr.training.mining.mining.BATCH", 7)
    split = mine(data, settings)
    assert split.report == first.report
    assert np.array_equal(split.examples.positives, first.examples.positives)


def test_scores_are_those_of_the_encoder_and_negatives_differ():
    data = read_data([SAMPLE])
    mined = mine(data, MiningSettings(scored=True, share=0.7))
    finder = miner(load("bm25"), data.documents)
    for example in list(mined.examples)[::17]:
        scores = finder.score(finder.encode([data.queries[example.query]]), np.array([example.documents]))[0]
        assert example.scores
        assert np.allclose(scores, example.scores)
        assert (scores[1:] <= 0.7 * scores[0]).all()
        assert len(set(example.documents)) == len(example.documents)


def test_candidates_are_scored_as_the_whole_product_scores_them():
    texts = read_data([SAMPLE]).documents
    finder = miner(load("bm25"), texts)
    vectors = finder.encode(texts[:20])
    rows = np.random.default_rng(0).integers(-1, len(texts), (20, 6))
    documents = load_statistics(texts)
    whole = (vectors.to_scipy() @ documents.to_scipy().T).toarray()
    wanted = np.where(rows < 0, 0, np.take_along_axis(whole, rows.clip(min=0), 1))
    assert np.allclose(finder.score(vectors, rows), wanted, atol=1e-5)


def load_statistics(texts):
    encoder = load("bm25")
    return encoder.weigh(encoder.observe(texts).matrix)


def test_skip_and_depth_bound_the_ranks():
    data = read_data([SAMPLE])
    finder, answers = miner(load("bm25"), data.documents), Answers(data.examples, len(data.queries))
    ranks = finder.find(finder.encode(data.queries), 8).rows
    mined = mine(data, MiningSettings(negatives=9, depth=8, skip=2, share=np.inf))
    for example in mined.examples:
        wanted = set(ranks[example.query, 2:].tolist()) - set(answers.of(example.query).tolist()) - {-1}
        assert set(example.documents[1:]) == wanted


def dense_folder(folder):
    source = untrained(read_system("dense-mean"), bert(folder / "bert"))
    (folder / "dense").mkdir()
    NeuralEncoder(source, "cpu").save(folder / "dense")
    return folder / "dense"


def test_dense_search_in_tiles_is_the_whole_product(tmp_path, monkeypatch):
    monkeypatch.setattr("lsr.training.mining.miners.TILE", 3)
    rng = np.random.default_rng(0)
    documents, queries = rng.normal(size=(10, 4)).astype(np.float32), rng.normal(size=(5, 4)).astype(np.float32)
    finder = DenseMiner(load("bm25"), documents)
    found = finder.find(queries, 7)
    whole = queries @ documents.T
    assert np.array_equal(found.rows, np.argsort(-whole, axis=1)[:, :7])
    assert np.allclose(found.scores, np.take_along_axis(whole, found.rows, 1), atol=1e-6)
    assert np.allclose(finder.score(queries, found.rows), found.scores, atol=1e-6)
    assert (finder.find(queries, 12).rows[:, 10:] == -1).all()


def test_negatives_alternate_between_encoders_and_a_dense_judge_decides(tmp_path):
    data = data_of(tmp_path, *BEES)
    dense = str(dense_folder(tmp_path))
    both = mine(data, MiningSettings(("bm25", dense), negatives=2, share=np.inf))
    assert [len(e.documents) for e in both.examples] == [3] * 6
    lexical = mine(data, MiningSettings(negatives=9, share=np.inf))
    for mixed, words in zip(both.examples, lexical.examples, strict=True):
        assert len(words.documents) == 1 or mixed.documents[1] in words.documents[1:]
        assert len(set(mixed.documents)) == 3
    judged = mine(data, MiningSettings(("bm25",), negatives=9, share=0.9, judge=dense, scored=True))
    for example in judged.examples:
        assert example.scores
        assert all(score <= 0.9 * example.scores[0] + 0.2 * max(0, -example.scores[0]) for score in example.scores[1:])


@pytest.mark.parametrize(
    "wrong", [{"negatives": 0}, {"depth": 5, "skip": 5}, {"share": 0.0}, {"encoders": ("bm25", "x"), "scored": True}]
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError, match=r"wanted|--judge"):
        MiningSettings(**wrong)
