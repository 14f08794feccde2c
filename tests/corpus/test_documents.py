"""Documents that a program hands over, wherever they enter."""

from typing import Any

import numpy as np
import pytest

from lsr import Searcher, index_documents, load_encoder
from lsr.corpus import Document
from lsr.errors import InputError

made: Any = Document  # of whatever a program has


def test_an_id_may_be_a_whole_number(tmp_path):
    documents = [made(1, "", "bees"), made(np.int64(2), None, "moats"), made("x", 5, None)]
    index_documents(documents, load_encoder("bm25"), tmp_path / "index")
    searcher = Searcher.open(tmp_path / "index")
    assert [hit.id for query in ("bees", "moats") for hit in searcher.search(query)] == ["1", "2"]


NO_DOCUMENTS: dict[str, tuple[Any, str]] = {
    "fraction": ([made(1.0, "", "bees")], "document 1: found the id 1.0, wanted a text that is not empty"),
    "nothing": ([made("1", "", "x"), made(None, "", "bees")], "document 2: found the id None"),
    "half a pair": ([made("1", "", "caf\udce9")], "document 1: the text holds half a surrogate pair"),
    "title": ([made("1", ["a"], "bees")], r"document 1: the title holds \['a'\]: wanted text"),
    "deep": ([made("1", "", [])], r"document 1: the text holds \[\]: wanted text"),
    "record": ([{"text": "bees"}], "record 1: no id field"),
    "tuple": ([("1", "", "bees")], "record 1: found a tuple, wanted lsr.Document"),
    "name of a file": ("corpus.jsonl", "wanted several lsr.Document, .*; lsr.DocumentReader reads files"),
    "one document": (made("1", "", "bees"), "wanted several lsr.Document, "),
    "the same id": ([made(1, "", "x"), made("1", "", "y")], "document 2: the id '1' was given before"),
}


@pytest.mark.parametrize("name", NO_DOCUMENTS)
def test_what_is_no_document_is_named(tmp_path, name):
    documents, message = NO_DOCUMENTS[name]
    with pytest.raises(InputError, match=message):
        index_documents(documents, load_encoder("bm25"), tmp_path / "index")
    assert not (tmp_path / "index" / "catalogue.db").exists()
