"""Other packages measure this engine and find what `lsr eval` finds."""

import json

import pytest

from lsr.corpus import DocumentReader
from lsr.errors import InputError
from lsr.eval import Question, load_collection
from lsr.measuring import evaluate_system
from tests.conftest import SAMPLE


@pytest.fixture(scope="module")
def ours():
    """nDCG@10 of BM25 on the sample by the rules of both packages: queries without results are left out."""
    question = Question(dataset=str(SAMPLE), encoder="bm25", convention="beir")
    return evaluate_system(question).values.measures["nDCG@10"]


def test_beir_finds_what_we_find(ours):
    pytest.importorskip("beir", reason="beir is not installed: pip install 'lsr-engine[plugins]'")
    import pytrec_eval
    from beir.retrieval.evaluation import EvaluateRetrieval
    from beir.retrieval.search import BaseSearch

    from lsr.measuring.plugins.beir_search import BeirSearch

    collection = load_collection(SAMPLE)
    corpus = {d.id: {"title": d.title, "text": d.text} for d in DocumentReader([SAMPLE])}
    search = BeirSearch("bm25")
    assert isinstance(search, BaseSearch)
    theirs = EvaluateRetrieval(search, k_values=[10, 100])
    results = theirs.retrieve(corpus, collection.queries)
    ndcg, *_ = theirs.evaluate(collection.qrels, results, [10])
    assert ndcg["NDCG@10"] == round(ours, 5)  # BEIR rounds
    found = pytrec_eval.RelevanceEvaluator(collection.qrels, {"ndcg_cut.10"}).evaluate(results)
    assert sum(one["ndcg_cut_10"] for one in found.values()) / len(found) == pytest.approx(ours, abs=1e-6)
    with pytest.raises(InputError, match="dense and pickled"):
        search.encode(corpus, collection.queries)


@pytest.mark.filterwarnings("default")
def test_mteb_finds_what_we_find(ours):
    pytest.importorskip("mteb", reason="mteb is not installed: pip install 'lsr-engine[plugins]'")
    import mteb

    from lsr.measuring.plugins.mteb_model import MtebModel

    model = MtebModel("bm25")
    assert isinstance(model, mteb.SearchProtocol)
    result = mteb.evaluate(model, _task(), cache=None)
    scores = json.loads(result.task_results[0].model_dump_json())["scores"]["test"][0]
    assert scores["ndcg_at_10"] == round(ours, 5)  # mteb rounds
    assert scores["unrounded"] == pytest.approx(ours, abs=1e-6)


def _task():
    """The sample as a task of mteb."""
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    collection = load_collection(SAMPLE)

    class Sample(AbsTaskRetrieval):  # type: ignore[misc]
        metadata = TaskMetadata(
            name="LsrSample",
            description="The sample collection",
            dataset={"path": "none", "revision": "1"},
            type="Retrieval",
            category="t2t",
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )

        def load_data(self, **_):
            rows = [{"id": d.id, "title": d.title, "text": d.text} for d in DocumentReader([SAMPLE])]
            queries = [{"id": name, "text": text} for name, text in collection.queries.items()]
            split = {
                "corpus": Dataset.from_list(rows),
                "queries": Dataset.from_list(queries),
                "relevant_docs": collection.qrels,
                "top_ranked": None,
            }
            self.dataset, self.data_loaded = {"default": {"test": split}}, True

        def task_specific_scores(self, scores, qrels, results, hf_split, hf_subset):
            return {"unrounded": sum(one["ndcg_cut_10"] for one in scores.values()) / len(scores)}

    return Sample()
