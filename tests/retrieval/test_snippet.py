import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.encoders import Span
from lsr.retrieval import snippet
from lsr.retrieval.snippet import CHARACTERS, WORDS


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
    assert found.text == "Bees dance."
    assert found.marked("[", "]") == "Bees [dance]."


@pytest.mark.parametrize("end", [".", '."', " .", "!?", "  \n", "。", " (see there)", ""])
def test_what_is_not_cut_has_no_dots(end):
    for text in ("bees" + end, " ".join(["filler"] * (WORDS - 3)) + " bees" + end):
        assert not snippet(text, spans_of(text, {"bees": 1}), {1: 1.0}).text.endswith("…")


def test_html_is_escaped():
    text = '<script>alert("bees")</script> & bees'
    found = snippet(text, spans_of(text, {"bees": 1}), {1: 1.0})
    escaped = "&lt;script&gt;alert(&quot;<mark>bees</mark>&quot;)&lt;/script&gt; &amp; <mark>bees</mark>"
    assert found.html() == escaped
    assert found.html("b") == escaped.replace("mark>", "b>")


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


def brute_force(text_words, spans, shares):
    """The best value of any stretch that starts a few words before a match, and the first that has it."""
    starts = [match.start() for match in re.finditer(r"\w+", " ".join(text_words))]
    latest = max(0, len(text_words) - WORDS)
    best = (-1.0, 0)
    for first in sorted({0} | {min(latest, max(0, starts.index(span.start) - 5)) for span in spans}):
        inside = {s.term for s in spans if first <= starts.index(s.start) < first + WORDS}
        best = max(best, (sum(shares[term] for term in sorted(inside)), -first))
    return -best[1]


@given(words, st.dictionaries(st.sampled_from([0, 1, 2]), st.sampled_from([1.0, 2.0, 4.0]), min_size=1))
def test_the_stretch_is_the_best_of_all(text_words, shares):
    text = " ".join(text_words)
    spans = [span for span in spans_of(text, {"bees": 0, "dance": 1, "moat": 2}) if span.term in shares]
    first = brute_force(text_words, spans, shares)
    assert snippet(text, spans, shares).text.strip("… ") == " ".join(text_words[first : first + WORDS])


def test_a_book_takes_no_longer_than_its_length():
    text = " ".join(["bees", "honey", "filler", "x"] * 32_000)
    assert snippet(text, spans_of(text, {"bees": 0, "honey": 1}), {0: 1.0, 1: 1.0}).text.startswith("bees honey")


@pytest.mark.parametrize("text", ["蜜蜂" * 22_000 + "花" + "蜜蜂" * 500, "x" * 2_000_000, "ab " * 3 + "c" * 100_000])
def test_a_snippet_has_an_end_where_words_have_none(text):
    at = text.index("花") if "花" in text else len(text) // 2
    found = snippet(text, [Span(at, at + 1, 1)], {1: 1.0})
    assert len(found.text) <= CHARACTERS + 4
    assert [found.text[a:b] for a, b in found.marks] == [text[at]]
