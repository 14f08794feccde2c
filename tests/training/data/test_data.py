"""Training data says where it is wrong, comes in an order that can be resumed, and is tokenised once."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lsr.encoders import load
from lsr.encoders.side import Side
from lsr.errors import InputError, TrainingError
from lsr.training.data.sampling_order import Order
from lsr.training.data.sources import read_data
from lsr.training.data.token_store import TokenStore
from lsr.training.loop.batches import Drawer
from lsr.training.loop.validation import Measured, mean, read_devs
from lsr.training.student.student import start
from lsr.training.teachers.scores import DenseVectors, Ensemble, ScoredLists, normalised, stored
from lsr.training.teachers.vector_cache import both_vectors
from tests.conftest import SAMPLE
from tests.encoders.models import bert, write_tokenizer
from tests.training.runs import recipe


def jsonl(folder, *records):
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_pairs_triples_and_scored_lists_are_read_and_texts_kept_once(tmp_path):
    path = jsonl(
        tmp_path,
        {"query": "q1", "positive": "a"},
        {"query": "q1", "pos": "a", "negs": ["b", "c"]},
        {"query": "q2", "docs": ["c", "a"], "scores": [2, 1.5]},
    )
    data = read_data([path])
    assert (data.queries, data.documents) == (["q1", "q2"], ["a", "b", "c"])
    assert [e.documents for e in data.examples[0]] == [(0,), (0, 1, 2), (2, 0)]
    assert data.examples[0][2].scores == (2.0, 1.5)


def test_parquet_and_zipped_triples_are_sources_of_their_own(tmp_path):
    pq.write_table(pa.table({"query": ["q"], "positive": ["d"]}), tmp_path / "a.parquet")
    with gzip.open(tmp_path / "t.tsv.gz", "wt") as file:
        file.write("q\td\tother\n")
    data = read_data([tmp_path / "a.parquet", tmp_path / "t.tsv.gz"])
    assert [[e.documents for e in source] for source in data.examples] == [[(0,)], [(0, 1)]]


def test_a_folder_without_train_judgements_gives_titles_and_never_its_judged_queries():
    data = read_data([SAMPLE])
    judged = {json.loads(line)["text"] for line in (SAMPLE / "queries.jsonl").read_text().splitlines()}
    assert len(data.examples[0]) == 240
    assert not judged & set(data.queries)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"query": "q", "positive": " "}, "pairs.jsonl, line 2: positive holds ' ': wanted a text"),
        ({"query": None, "positive": "d"}, "line 2: query holds None"),
        ({"text": "d"}, "line 2: found the fields 'text', wanted 'query' and 'positive'"),
        ({"query": "q", "docs": ["d"], "scores": [1, 2]}, "line 2: 2 scores for 1 documents"),
        ({"query": "q", "docs": ["d"], "scores": ["x"]}, "line 2: a teacher's score is 'x'; wanted a finite number"),
    ],
)
def test_a_broken_record_is_named_by_file_and_line(tmp_path, record, message):
    with pytest.raises(InputError, match=message):
        read_data([jsonl(tmp_path, {"query": "q", "positive": "d"}, record)])


def test_a_teacher_score_of_nan_is_refused(tmp_path):
    table = pa.table({"query": ["q"], "docs": [["d"]], "scores": [[float("nan")]]})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="row 1: a teacher's score is nan"):
        read_data([tmp_path / "a.parquet"])


def test_a_source_without_pairs_is_refused(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(TrainingError, match="holds no pair"):
        read_data([tmp_path / "empty.jsonl"])


def picked(order):
    return np.stack(order.next(4)).tolist()


def test_the_order_is_decided_by_the_seed_and_goes_on_where_it_stood():
    first, second = Order([10, 5], seed=3), Order([10, 5], seed=3)
    batches = [picked(first) for _ in range(6)]
    assert [picked(second) for _ in range(3)] == batches[:3]
    resumed = Order([10, 5], seed=3)
    resumed.go_to(second.position)
    assert [picked(resumed) for _ in range(3)] == batches[3:]
    assert picked(Order([10, 5], seed=4)) != batches[0]


def test_a_source_repeats_nothing_until_it_is_used_up():
    places = Order([10]).next(20).places
    assert sorted(places[:10]) == sorted(places[10:]) == list(range(10))


def test_sources_are_mixed_by_weight():
    assert 0.7 < np.mean(Order([10, 1000], weights=[3, 1]).next(4000).sources == 0) < 0.8
    with pytest.raises(TrainingError, match="wanted one each"):
        Order([10, 10], weights=[1])


def test_tokens_come_from_the_cache_as_they_were_made(tmp_path):
    write_tokenizer(tmp_path)
    side, texts = Side("table", view="bare"), ["bees dance", "", "the castle had walls"]
    made = TokenStore(texts, tmp_path / "tokenizer.json", side, tmp_path / "cache")
    kept = TokenStore(texts, tmp_path / "tokenizer.json", side, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert [made.ids(i).tolist() for i in range(3)] == [kept.ids(i).tolist() for i in range(3)]
    assert kept.lengths.tolist() == [2, 0, 4]
    assert kept.batch([0, 2]).ids.shape == (2, 4)


def test_the_ensemble_does_not_see_an_affine_change_of_a_teacher():
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(5, 3)).astype(np.float32)
    one = DenseVectors(dense, dense)

    class Stretched:
        def scores(self, queries, documents):
            return one.scores(queries, documents) * 40 + 7

    other = DenseVectors(dense[:, ::-1].copy(), dense)
    rows = np.arange(5)
    for kind in ("minmax", "z"):
        plain = Ensemble([one, other], [0.3, 0.7], kind).scores(rows, rows)
        assert np.allclose(plain, Ensemble([Stretched(), other], [0.3, 0.7], kind).scores(rows, rows), atol=1e-3)


def test_the_affine_normaliser_gives_mean_and_deviation_of_the_first():
    rng = np.random.default_rng(1)
    model, scores = torch.from_numpy(rng.normal(3, 2, (2, 50))), torch.from_numpy(rng.normal(size=(2, 50)))
    found = normalised(scores, "affine", model)
    assert np.allclose(
        torch.stack([found.mean(1), found.std(1)]), torch.stack([model.mean(1), model.std(1)]), atol=1e-4
    )


def test_an_ensemble_takes_those_who_know(tmp_path):
    data = read_data(
        [jsonl(tmp_path, {"query": "q", "docs": ["a", "b"], "scores": [3, 1]}, {"query": "r", "pos": "c"})]
    )
    lists = ScoredLists(data)
    queries, documents = np.arange(2), np.arange(3)
    assert lists.scores(queries, documents).isnan().tolist() == [[False, False, True], [True, True, True]]
    dense = np.eye(3, dtype=np.float32)
    both = Ensemble([lists, DenseVectors(dense[:2], dense)], None, "none").scores(queries, documents)
    assert both[0].tolist() == [2.0, 0.5, 0.0]
    assert not both.isnan().any()


def test_bm25_teaches_by_the_statistics_of_the_documents(tmp_path):
    data = read_data(
        [jsonl(tmp_path, {"query": "bees", "pos": "bees dance"}, {"query": "walls", "pos": "castle walls"})]
    )
    found = stored(*both_vectors(load("bm25"), data.documents, data.queries)).scores(np.arange(2), np.arange(2))
    assert found[0, 0] > 0
    assert found[1, 1] > 0
    assert found[0, 1] == found[1, 0] == 0


def test_stored_vectors_of_two_encoders_are_refused():
    with pytest.raises(TrainingError, match="wanted vectors of one encoder"):
        DenseVectors(np.zeros((1, 3), np.float32), np.zeros((1, 4), np.float32))


def test_a_known_answer_that_another_query_brought_is_no_negative(tmp_path):
    records = [{"query": "bees", "pos": "bees dance"}, {"query": "dance", "pos": "bees dance"}]
    write_tokenizer(tmp_path)
    data = read_data([jsonl(tmp_path, *records)])
    student = start(recipe(), bert(tmp_path / "bert"))
    drawn = Drawer(data, student, recipe()).draw(1)
    labels = drawn.labels_on(torch.device("cpu"))
    assert labels.positive.shape == (4, 4)
    assert labels.positive.all()
    assert labels.own.tolist() == np.eye(4, dtype=bool).tolist()


def test_dev_sets_have_names_and_splits(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "qrels").mkdir(parents=True)
        (tmp_path / name / "corpus.jsonl").write_text('{"_id": "d", "text": "bees"}\n')
        (tmp_path / name / "queries.jsonl").write_text('{"_id": "q", "text": "bees"}\n{"_id": "r", "text": "dance"}\n')
        (tmp_path / name / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
        (tmp_path / name / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nr\td\t1\n")
    found = read_devs([tmp_path / "a", f"{tmp_path}/a:dev", f"{tmp_path}/b:dev"])
    assert {name: list(dev.queries) for name, dev in found.items()} == {"a": ["q"], "a:dev": ["r"], "b:dev": ["r"]}
    with pytest.raises(TrainingError, match="two dev sets are called 'a'"):
        read_devs([tmp_path / "a", tmp_path / "a"])
    with pytest.raises(InputError, match="no such file"):
        read_devs([tmp_path / "nothing"])
    assert mean({"a": Measured(0.2, 10, 2, 1), "b": Measured(0.4, 20, 4, 3)}) == pytest.approx((0.3, 15, 3, 2))
