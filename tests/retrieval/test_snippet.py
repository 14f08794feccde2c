import re

from hypothesis import given
from hypothesis import strategies as st

from lsr.encoders import Span
from lsr.retrieval import snippet
from lsr.retrieval.snippet import WORDS


def spans_of(text, terms):
    return [Span(m.start(), m.end(), terms[m.group()]) for m in re.finditer(r"\w+", text) if m.group() in terms]


def test_the_stretch_holds_the_terms_that_matter_most():
    text = " ".join(["filler"] * 100 + ["bees", "dance"] + ["filler"] * 100 + ["bees"])
    found = snippet(text, spans_of(text, {"bees": 1, "dance": 2}), {1: 2.0, 2: 1.0})
    assert [found.text[a:b] for a, b in found.marks] == ["bees", "dance"]
    assert found.text.startswith("… ")
    assert found.text.endswith(" …")


def test_a_short_text_is_given_whole():
    found = snippet("Bees dance.", spans_of("Bees dance.", {"dance": 2}), {2: 1.0})
    assert found.text == "Bees dance …" or found.text == "Bees dance"
    assert found.marked("[", "]").startswith("Bees [dance]")


def test_words_that_hardly_matter_are_not_marked():
    text = "the bees"
    assert snippet(text, spans_of(text, {"the": 0, "bees": 1}), {0: 0.01, 1: 1.0}).marks == [(4, 8)]


def test_part_of_a_word_marks_the_whole_word():
    assert snippet("beekeeper here", [Span(0, 3, 5)], {5: 1.0}).marks == [(0, 9)]


def test_an_empty_text_gives_an_empty_snippet():
    assert snippet("", [], {}).text == ""


words = st.lists(st.sampled_from(["bees", "dance", "moat", "filler", "x"]), max_size=120)


@given(words, st.dictionaries(st.sampled_from([0, 1, 2]), st.floats(0.01, 10), min_size=1))
def test_marks_always_stand_on_matched_words(text_words, shares):
    text = " ".join(text_words)
    terms = {"bees": 0, "dance": 1, "moat": 2}
    found = snippet(text, spans_of(text, terms), shares)
    assert len(re.findall(r"\w+", found.text)) <= WORDS
    assert found.text.strip("… ") in text
    for start, end in found.marks:
        assert terms[found.text[start:end]] in shares
