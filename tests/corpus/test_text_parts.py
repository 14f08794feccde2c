"""Fields of text have weights: what is parsed, what a document carries, and what is left of it in passages."""

import pickle
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus import Document, Fields
from lsr.corpus.document import checked
from lsr.corpus.passages import as_passages, whole
from lsr.corpus.text_parts import PARTS, WeightedText, split_weight
from lsr.errors import InputError

RECORD = {"id": "1", "title": "T", "name": "red shoe", "description": "a blue lace", "note": ""}


def document(text, **record):
    return Fields(text=text, store="all").document({**RECORD, **record})


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("name", ("name", 1)),
        ("name^2", ("name", 2)),
        ("a^b^1", ("a^b", 1)),
        ("name^1e2", ("name", 100)),
        ("name^0.3", ("name", 307 / 1024)),
        ("name^0.001", ("name", 1 / 1024)),
        ("name^1000", ("name", 1000)),
    ],
)
def test_a_weight_follows_the_last_caret(name, wanted):
    assert split_weight(name) == wanted


@pytest.mark.parametrize(
    "name", ["name^", "^", "^2", "name^-1", "name^x", "name^0", "name^nan", "name^inf", "name^1e-9", "name^1001", "a^b"]
)
def test_a_weight_that_is_none_is_refused_at_once(name):
    with pytest.raises(InputError, match=r"text field .*wanted NAME or NAME\^WEIGHT, .* from 0.001 to 1,000"):
        Fields(text=["title", name])


def test_a_field_has_one_weight():
    with pytest.raises(InputError, match="two weights of the text field 'name'"):
        Fields(text=["name", "name^2"])


def test_a_document_says_where_its_parts_end():
    found = document(["name", "description^0.5"])
    assert found == ("1", "T", "red shoe a blue lace", {PARTS: [(8, 1.0), (20, 0.5)]})
    assert found.full_text == "T red shoe a blue lace" == found.weighted_text
    assert found.weighted_text.parts == (("T red shoe", 1.0), ("a blue lace", 0.5))


def test_neighbours_of_one_weight_are_one_part():
    assert document(["name^2", "description^2"]).weighted_text.parts == (("T", 1.0), ("red shoe a blue lace", 2.0))
    assert document(["name^2", "note^3", "missing^4"]).fields[PARTS] == [(8, 2.0)]


@pytest.mark.parametrize("text", ["name", ["name", "description"], ["name^1", "description"], ["name", "note^2"]])
def test_without_weights_a_document_is_as_ever(text):
    found = document(text)
    assert PARTS not in found.fields
    assert type(found.weighted_text) is str


def test_the_name_of_the_parts_is_reserved():
    for record in ({PARTS: 1}, {"text": {"parts": 1}}):
        with pytest.raises(InputError, match=r"the field 'text.parts' is where weights of texts are kept"):
            Fields(text="name", store="all").document({**RECORD, **record})
    assert Fields(text="name").document({**RECORD, PARTS: 1}).fields == {}


@pytest.mark.parametrize(
    "parts",
    [7, [], "x", [[3, 1]], [[5, 1], [3, 1]], [[0, 1], [5, 1]], [[5, 0]], [[5, True]], [[5]], [[2.5, 1], [5, 1]]],
)
def test_parts_that_are_not_those_of_the_text_are_refused(parts):
    with pytest.raises(InputError, match=r"the field text.parts is .*: wanted for each part of the text"):
        checked(Document("1", "", "a red", {PARTS: parts}))


def test_parts_that_fit_are_rounded():
    assert checked(Document("1", "", "a red", {PARTS: [[1, 0.3], [5, 2]]})).fields == {PARTS: [(1, 307 / 1024), (5, 2)]}


def test_a_weighted_text_survives_a_process():
    text = document(["name", "description^0.5"]).weighted_text
    again = pickle.loads(pickle.dumps(text))  # noqa: S301 - as multiprocessing does
    assert isinstance(again, WeightedText)
    assert (again, again.parts) == (text, text.parts)


words = st.lists(st.sampled_from(["red", "blue", "green", "a", "b."]), min_size=1, max_size=12).map(" ".join)
pieces = st.lists(st.tuples(words, st.sampled_from([0.5, 1, 2, 3.25])), min_size=1, max_size=4)


@given(pieces, st.integers(1, 6), st.data())
def test_each_character_of_a_passage_weighs_what_it_did(given_pieces, size, data):
    fields = Fields(text=[f"f{i}^{weight}" for i, (_, weight) in enumerate(given_pieces)], store="all")
    made = fields.document({"id": "1", **{f"f{i}": text for i, (text, _) in enumerate(given_pieces)}})
    passages = as_passages(made, size, data.draw(st.integers(0, size - 1)))
    wanted = weights_of(made)
    for passage in passages:
        assert weights_of(passage) == wanted[passage.fields["passage.start"] : passage.fields["passage.end"]]
        assert checked(passage) == passage
    assert whole(passages) == made._replace(fields={})


def weights_of(document):
    """The weight of each character."""
    weights, start = [], 0
    for end, weight in document.fields.get(PARTS, [(len(document.text), 1)]):
        weights += [Fraction(weight)] * (end - start)
        start = end
    assert len(weights) == len(document.text)
    return weights
