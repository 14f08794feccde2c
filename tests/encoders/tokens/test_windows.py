"""Long texts are read in windows: none of their words is lost, and none is longer than the network reads."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.encoders.side import Side
from lsr.encoders.tokens.windows import WindowView, joined, whole
from lsr.encoders.tokens.word_pieces import View, read_tokenizer
from lsr.errors import EncoderError

torch = pytest.importorskip("torch")

from tests.encoders import models  # noqa: E402

WORDS = st.lists(st.sampled_from(["bees", "castle", "moat,", "flowering", "walls.", "xyzxyz", "\n"]), max_size=70)
VIEWS = ["plain", "bare", "echo"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    models.write_tokenizer(folder, pieces=True)
    return folder / "tokenizer.json"


def side(**settings):
    return Side("vocabulary", "masked-lm", **{"max_length": 16, **settings})


def words_at(text, tokens):
    """What the tokens that pool stand for, with their places."""
    pooled = tokens.offsets[tokens.pooled_from :]
    return {(start, text[start:end]) for start, end in pooled if end > start}


def read(tokenizer, text, **settings):
    return WindowView(tokenizer, side(**settings))([text]).tokens


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("prompt", ["", "the garden "])
@given(words=WORDS)
def test_every_token_is_in_a_window_and_no_window_is_too_long(tokenizer, view, prompt, words):
    text = " ".join(words)
    windows = read(tokenizer, text, view=view, prompt=prompt)
    assert all(len(window.ids) <= 16 for window in windows)
    assert {len(window.ids) for window in windows} == {len(window.literal) for window in windows}
    all_of_it = View(read_tokenizer(tokenizer), whole(side(view=view, prompt=prompt)))([text])[0]
    assert set().union(*(words_at(text, window) for window in windows)) == words_at(text, all_of_it)


@pytest.mark.parametrize("view", VIEWS)
@given(words=WORDS)
def test_a_text_that_fits_is_read_as_always(tokenizer, view, words):
    text = " ".join(words)
    truncated = View(read_tokenizer(tokenizer), side(view=view))([text])[0]
    windows = read(tokenizer, text, view=view)
    assert (len(windows) == 1) == (not truncated.truncated)
    if not truncated.truncated:
        assert windows == [truncated]


def test_windows_are_cut_between_words_and_repeat_an_eighth(tokenizer):
    text = "bees dance to tell " * 8 + "flowering"
    windows = read(tokenizer, text, max_length=34)
    assert [(window.offsets[1][0], window.offsets[-2][1]) for window in windows] == [(0, 151), (133, len(text))]


def test_special_tokens_and_prompt_are_in_every_window(tokenizer):
    windows = read(tokenizer, "castle walls moat " * 20, prompt="the garden of ")
    assert len(windows) > 2
    assert len({tuple(window.ids[:4]) for window in windows}) == 1
    assert len({window.ids[-1] for window in windows}) == 1
    assert all(window.offsets[0] == window.offsets[3] == (0, 0) for window in windows)


def test_a_text_without_spaces_is_cut_anywhere(tokenizer):
    windows = read(tokenizer, "x" * 90)
    assert len(windows) > 5
    assert [place for window in windows for place in window.offsets if place == (89, 90)]


def test_an_echo_is_twice_the_window(tokenizer):
    for window in read(tokenizer, "castle walls moat " * 20, view="echo"):
        half = window.pooled_from - 1
        assert window.ids[:half] == window.ids[half + 1 :]
        assert not any(window.literal[: half + 1])


def test_declared_truncation_reads_one_window_and_counts(tokenizer):
    texts = ["bees", "castle " * 50]
    found = WindowView(tokenizer, side(long_texts="truncate"))(texts)
    assert (found.counts, found.truncated) == ([1, 1], 1)
    assert len(found.tokens[1].ids) == 16
    assert WindowView(tokenizer, side(), truncate=True)(texts) == found
    assert WindowView(tokenizer, side())(texts).truncated == 0


def test_the_tokens_of_all_windows_have_their_places(tokenizer):
    text = "castle walls moat " * 20
    windows = read(tokenizer, text)
    assert joined(windows).offsets == [place for window in windows for place in window.offsets]
    assert len(joined(windows).ids) == sum(len(window.ids) for window in windows)


def test_a_prompt_without_room_beside_it_is_refused(tokenizer):
    with pytest.raises(EncoderError, match="a window holds 16: declare a shorter prompt"):
        read(tokenizer, "castle " * 5, prompt="castle walls " * 10)


def test_only_sides_that_read_windows_have_no_end():
    assert whole(side()).max_length > 10**9
    assert whole(truncating := msgspec.structs.replace(side(), long_texts="truncate")) is truncating
