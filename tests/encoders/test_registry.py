import pytest

from lsr.encoders import load
from lsr.errors import EncoderError


def test_an_unknown_name_is_refused():
    with pytest.raises(EncoderError, match="unknown encoder 'splade-9000': wanted default, bm25 or a folder"):
        load("splade-9000")


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(EncoderError, match="holds no encoder"):
        load(tmp_path)
