"""Passages of long documents: whole sentences, which overlap and can be put together again."""

import random
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus import Document
from lsr.corpus.passages import END, NUMBER, START, as_passages, passages_of, whole
from lsr.errors import InputError

PIECES = st.sampled_from(
    [
        "word ",
        "Dr. ",
        "End. ",
        "Why? ",
        "x",
        "\n",
        "\n\n",
        "\f",
        " ",
        "今天",
        "天气。",
        "สวัสดี",
        "é",
        "3.5 ",
        "。",
    ]
)
TEXTS = st.text() | st.lists(PIECES, max_size=60).map("".join)
WORDS = st.integers(1, 12)


def parts(text, words, overlap=None):
    return [text[start:end] for start, end in passages_of(text, words, overlap)]


def test_a_short_text_is_one_passage_and_so_is_an_empty_one():
    assert passages_of("", 10) == [(0, 0)]
    assert passages_of(" \n ", 10) == [(0, 3)]
    assert parts("One two three. Four five.", 5) == ["One two three. Four five."]


def test_passages_end_with_sentences_and_repeat_whole_ones():
    text = "One two three. Four five. Six seven eight. Nine ten. Last of all."
    assert parts(text, 6, 3) == [
        "One two three. Four five. ",
        "Four five. Six seven eight. ",
        "Six seven eight. Nine ten. ",
        "Nine ten. Last of all.",
    ]
    assert parts(text, 6, 0) == ["One two three. Four five. ", "Six seven eight. Nine ten. ", "Last of all."]


def test_an_overlap_without_a_whole_sentence_starts_inside_one():
    assert parts("One two three four. Five six.", 4, 1) == ["One two three four. ", "four. Five six."]


def test_the_next_sentence_stays_whole_even_if_less_is_repeated():
    assert parts("One two three. Four five six seven.", 4, 2) == ["One two three. ", "Four five six seven."]


def test_long_sentences_are_cut_at_lines_or_else_at_words():
    assert parts("one two\nthree four five six seven", 4, 0) == ["one two\n", "three four five six ", "seven"]
    assert parts("a b c d e f g", 3, 1) == ["a b c ", "c d e ", "e f g"]


def test_initials_titles_and_small_letters_end_no_sentence():
    text = "Met Dr. Who and J. Doe. They ate i.e. cake. Fine."
    assert parts(text, 6, 0) == ["Met Dr. Who and J. Doe. ", "They ate i.e. cake. Fine."]


def test_a_blank_line_ends_a_sentence():
    assert parts("A heading\n\nSome text follows here", 4, 0) == ["A heading\n\n", "Some text follows here"]


def test_scripts_without_spaces_count_two_characters_as_a_word():
    assert parts("今天天气很好。我们去公园玩吧！", 5, 0) == ["今天天气很好。", "我们去公园玩吧！"]
    assert parts("天" * 9, 2, 0) == ["天天天天", "天天天天", "天"]


def test_a_mark_stays_with_its_letter():
    assert parts("ดีดี", 1, 0) == ["ดีดี"]
    assert parts("ดีดีดี", 1, 0) == ["ดีดี", "ดี"]


def test_characters_without_any_space_are_cut():
    assert max(map(len, parts("x" * 10_000, 5))) <= 5 * 200


@given(TEXTS, WORDS, st.data())
def test_passages_are_the_whole_text_in_order(text, words, data):
    overlap = data.draw(st.none() | st.integers(0, words - 1))
    found = passages_of(text, words, overlap)
    assert found[0][0] == 0
    assert found[-1][1] == len(text)
    for (start, end), (next_start, next_end) in pairwise(found):
        assert start < next_start <= end < next_end


@given(st.lists(st.sampled_from(["a ", "bb. ", "c\n", "Dd? "]), max_size=80).map("".join), WORDS)
def test_passages_have_so_many_words_and_overlap_by_so_many_at_most(text, words):
    found = passages_of(text, words)
    assert all(len(text[start:end].split()) <= words for start, end in found)
    for (_, end), (start, _) in pairwise(found):
        assert len(text[start:end].split()) <= words // 5


@given(TEXTS, WORDS, st.randoms())
def test_passages_in_any_order_are_put_together_again(text, words, order):
    document = Document("d", "A title", text, {"price": 3, "passage": "of arms"})
    passages = as_passages(document, words)
    order.shuffle(passages)
    assert whole(passages) == document
    assert whole(as_passages(Document("d", text=text), words)) == Document("d", text=text)


def test_every_passage_has_title_and_fields_and_says_where_it_stands():
    first, second = as_passages(Document("d", "T", "One two. Three four.", {"price": 3}), 2, 0)
    assert first == Document("d", "T", "One two. ", {"price": 3, NUMBER: 1, START: 0, END: 9})
    assert second == Document("d", "T", "Three four.", {"price": 3, NUMBER: 2, START: 9, END: 20})


@pytest.mark.parametrize(("words", "overlap"), [(0, None), (-3, 0), (5, 5), (5, -1)])
def test_impossible_numbers_are_refused(words, overlap):
    with pytest.raises(InputError, match="wanted 1 word or more"):
        passages_of("text", words, overlap)


def test_what_is_no_whole_set_of_passages_is_refused():
    passages = as_passages(Document("d", "", "a b c d e f"), 2, 0)
    with pytest.raises(InputError, match="found no passages"):
        whole([])
    with pytest.raises(InputError, match="passage 2 is missing"):
        whole([passages[0], passages[2]])
    with pytest.raises(InputError, match="'d' and 'e'"):
        whole([passages[0], passages[1]._replace(id="e")])
    with pytest.raises(InputError, match="is no passage"):
        whole([Document("d", "", "text")])
    with pytest.raises(InputError, match="wanted a whole document"):
        as_passages(passages[0], 2)


def test_a_long_text_takes_little_time():
    words = random.Random(0).choices(["the", "hydrogen", "of.", "bees", "dance", "Well"], k=200_000)
    text = " ".join(words)
    started = time.perf_counter()
    passages_of(text, 200)
    assert time.perf_counter() - started < 5  # 0.1 s where nobody else computes
