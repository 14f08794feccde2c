import gzip
from collections import Counter

import pytest

from lsr.corpus import Document, DocumentReader
from lsr.errors import InputError
from lsr.eval import (
    LimitShape,
    extend_limit,
    find_collections,
    invented_attributes,
    load_collection,
    make_limit,
    missing_collections,
    read_limit,
    read_topics,
    self_task,
    write_collection,
)
from tests.conftest import SAMPLE
from tests.eval.test_eval import write_set


def test_ms_marco_files_are_a_collection(tmp_path):
    (tmp_path / "collection.tsv").write_text("7\tsome text\n")
    (tmp_path / "qrels.dev.small.tsv").write_text("1\t0\t7\t1\n")
    (tmp_path / "queries.dev.small.tsv.gz").write_bytes(gzip.compress(b"1\tone\n2\tunjudged\n"))
    found = load_collection(tmp_path)
    assert (found.split, found.queries, found.qrels) == ("dev.small", {"1": "one"}, {"1": {"7": 1}})
    assert [document.id for document in DocumentReader([found.path])] == ["7"]
    with pytest.raises(InputError, match=r"no qrels.dev.tsv; found dev.small: choose one with --split"):
        load_collection(tmp_path, "dev")


def test_msmarco_of_beir_is_scored_on_dev(tmp_path):
    folder = write_set(tmp_path / "msmarco", **{"qrels__dev.tsv": "query-id\tcorpus-id\tscore\n2\ta\t1\n"})
    assert load_collection(folder).split == "dev"
    assert load_collection(folder, "test").qrels == {"1": {"a": 2}}


def test_a_folder_of_collections_says_how_many_it_holds(tmp_path):
    for name in ("android", "english"):
        write_set(tmp_path / "cqadupstack" / name)
    with pytest.raises(InputError, match=r"holds 2 collections \(android, english, ...\): give one, .*android"):
        load_collection(tmp_path / "cqadupstack")


@pytest.mark.parametrize(("line", "fault"), [("no tab", "found no id followed by a tab"), ("1\tagain", "given before")])
def test_a_bad_topic_is_named_with_its_line(tmp_path, line, fault):
    (tmp_path / "topics.tsv").write_text(f"1\tone\n{line}\n")
    with pytest.raises(InputError, match=rf"topics.tsv, line 2: .*{fault}"):
        read_topics(tmp_path / "topics.tsv")


def test_a_made_limit_collection_keeps_its_promise(tmp_path):
    stream, queries, qrels = make_limit(invented_attributes(400), LimitShape(people=300, wanted=20, queries=190))
    documents = list(stream)
    likes = {
        d.id: set(d.text.removesuffix(".").partition(" likes ")[2].replace(" and ", ", ").split(", "))
        for d in documents
    }
    assert len(likes) == 300
    for query, text in queries.items():
        asked = text.removeprefix("Who likes ").removesuffix("?")
        assert {name for name, own in likes.items() if asked in own} == set(qrels[query])
    assert {len(pair) for pair in qrels.values()} == {2}
    assert len({frozenset(pair) for pair in qrels.values()}) == len(qrels) == 190
    assert min(map(len, likes.values())) == 45
    again = list(make_limit(invented_attributes(400), LimitShape(people=300, wanted=20, queries=190))[0])
    assert again == documents


def likes_of(document):
    return document.text.removesuffix(".").partition(" likes ")[2].replace(" and ", ", ").split(", ")


def test_people_are_added_around_those_of_a_small_collection(tmp_path):
    people = [
        Document("Ann", "", "Ann likes Tea, Fish and Chips and Red Foxes."),
        Document("Bo", "", "Bo likes Tea, Red Foxes and Fish and Chips."),
        Document("Cy", "", "Cy likes Fish and Chips and Snow."),
    ]
    asked = {"1": ("Tea", "Ann", "Bo"), "2": ("Fish and Chips", "Bo", "Cy")}
    queries = {query: f"Who likes {one[0]}?" for query, one in asked.items()}
    qrels = {query: dict.fromkeys(one[1:], 1) for query, one in asked.items()}
    write_collection(tmp_path / "small", people, queries, qrels)
    limit = read_limit(tmp_path / "small")
    assert (limit.queries, limit.qrels, limit.others) == (queries, qrels, ["Red Foxes", "Snow"])
    attributes = ["Tea", *(f"Thing {i}" for i in range(60))]
    documents = list(extend_limit(limit, attributes, LimitShape(people=50)))
    assert len({document.id for document in documents}) == 50
    assert {document for document in documents if document.id in ("Ann", "Bo", "Cy")} == set(people)
    strangers = [document for document in documents if document not in people]
    assert {len(set(likes_of(document))) for document in strangers} == {45}
    assert not any("Tea" in likes_of(document) or "Fish" in document.text for document in strangers)
    named = list(extend_limit(limit, attributes, LimitShape(people=50), ["ivy", "rose", *"abcdefgh"]))
    assert {word for document in named[:20] for word in document.id.split()} <= {
        "Ivy",
        "Rose",
        *"ABCDEFGH",
        "Ann",
        "Bo",
        "Cy",
    }
    with pytest.raises(InputError, match="2 words for names of 50 people: wanted 11 or more"):
        extend_limit(limit, attributes, LimitShape(people=50), ["ivy", "rose"])
    with pytest.raises(InputError, match="2 attributes that nobody asks for, wanted 45 or more"):
        extend_limit(limit, [], LimitShape(people=50))
    with pytest.raises(InputError, match="wanted a LIMIT collection"):
        read_limit(SAMPLE)


def test_the_authors_small_collection_is_understood(shared_collection):
    limit = read_limit(shared_collection("limit-small"))
    assert (len(limit.wanted), len(limit.queries), len(limit.others)) == (46, 1000, 67)
    assert not [other for other in limit.others if " and " in other]


def test_sizes_that_cannot_be_made_are_refused():
    with pytest.raises(InputError, match="1036 queries about 46 people: wanted 1 to 1035"):
        LimitShape(queries=1036)
    with pytest.raises(InputError, match=r"2 distinct of 2 attributes: wanted 1045 or more"):
        make_limit(["a", "b"], LimitShape())


def test_a_part_of_a_passage_asks_for_its_passage():
    corpus = {document.id: document.full_text.split() for document in DocumentReader([SAMPLE])}
    queries, qrels = self_task(DocumentReader([SAMPLE]), "part", 50)
    assert len(queries) == 50
    for query, text in queries.items():
        (name,) = qrels[query]
        assert f" {text} " in f" {' '.join(corpus[name])} "
        assert 8 <= len(text.split()) <= 20


def test_keywords_are_the_rarest_words_of_a_document():
    rare = "one two three four five"
    documents = [Document(str(i), "", f"the same words are in every text {rare if i == 3 else ''}") for i in range(4)]
    queries, qrels = self_task(documents, "keyword", 10)
    text = next(queries[query] for query, graded in qrels.items() if "3" in graded)
    assert Counter(text.split()) == Counter(rare.split())
    with pytest.raises(InputError, match="unknown task 'cloze': wanted keyword or part"):
        self_task(documents, "cloze")
    with pytest.raises(InputError, match="no document has 8 words"):
        self_task([Document("1", "", "short")], "part")


def test_a_written_collection_comes_back(tmp_path):
    documents = [Document("a", "Title", "text\nof two lines"), Document("b c", "", "more")]
    assert write_collection(tmp_path / "new", documents, {"1": "one"}, {"1": {"b c": 2}}) == 2
    found = load_collection(tmp_path / "new")
    assert (found.queries, found.qrels) == ({"1": "one"}, {"1": {"b c": 2}})
    assert list(DocumentReader([found.path])) == documents
    with pytest.raises(InputError, match="holds a collection: choose a new folder"):
        write_collection(tmp_path / "new", documents, {}, {})


def test_collections_on_disk_are_found_and_others_named(tmp_path):
    write_set(tmp_path / "scifact")
    write_set(tmp_path / "mine")
    (tmp_path / "notes").mkdir()
    found = find_collections([tmp_path, tmp_path / "missing"])
    assert [(one.path.name, one.known is not None) for one in found] == [("mine", False), ("scifact", True)]
    assert "scifact" not in {known.name for known in missing_collections(found)}
