"""Documents come back as they were, in blocks or in the first layout; damage is an error."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.corpus import Document
from lsr.errors import InputError, StorageError
from lsr.index.storage import blocks
from lsr.index.storage import documents as storage
from lsr.index.storage.documents import FIRST_SCHEMA, DocumentStore, DocumentWriter

MANY = [Document(f"d{i}", f"Title {i}" * (i % 3), f"text of {i} " * (i % 40)) for i in range(3000)]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def write(path, documents, step=100):
    with DocumentWriter(path) as writer:
        for start in range(0, len(documents), step):
            writer.append(documents[start : start + step])
    return DocumentStore(path)


def write_first(path, documents, step=100):
    """The first layout."""
    with pa.ipc.new_file(str(path), FIRST_SCHEMA) as writer:
        for start in range(0, len(documents), step):
            own = documents[start : start + step]
            columns = [pa.array([document[at] for document in own], pa.string()) for at in range(3)]
            writer.write_batch(pa.record_batch(columns, schema=FIRST_SCHEMA))
    return DocumentStore(path)


def everything(store):
    """What a store has to say; None for damage."""
    try:
        rows = np.arange(len(store))
        one_by_one = [store[row] for row in rows.tolist()]
        return one_by_one, [store.id(row) for row in rows.tolist()], store.ids(), list(store.documents(rows))
    except StorageError:
        return None


@pytest.mark.parametrize("make", [write, write_first])
@pytest.mark.parametrize("step", [1, 7, 4096])
def test_documents_come_back(tmp_path, make, step, monkeypatch):
    monkeypatch.setattr(storage, "BLOCKS", 5)
    store = make(tmp_path / "d.arrow", MANY[:500], step)
    ids = [document.id for document in MANY[:500]]
    assert everything(store) == (MANY[:500], ids, ids, MANY[:500])
    assert store.known(["d3", "d499", "d500", "x"]) == {"d3", "d499"}


@given(st.lists(st.builds(lambda *parts: Document(*parts), texts, texts, texts), max_size=12), st.integers(1, 5))
@settings(deadline=None)
def test_any_texts_come_back(tmp_path_factory, documents, step):
    store = write(tmp_path_factory.mktemp("any") / "d.arrow", documents, step)
    assert [store[row] for row in range(len(store))] == documents
    assert store.ids() == [document.id for document in documents]


@pytest.mark.parametrize("make", [write, write_first])
def test_chosen_rows_come_in_their_order(tmp_path, make):
    store = make(tmp_path / "d.arrow", MANY)
    rows = np.random.default_rng(0).integers(0, len(MANY), 700)
    for chosen in (rows, np.sort(rows), rows[:0]):
        assert list(store.documents(chosen)) == [MANY[row] for row in chosen.tolist()]
    for wrong in ([-1], [0, len(MANY)]):
        with pytest.raises(InputError, match="wanted 0 to 2,999"):
            next(store.documents(np.array(wrong)))


def test_each_block_is_decompressed_once_in_order_and_recent_ones_not_again(tmp_path, monkeypatch):
    store, unpacked = write(tmp_path / "d.arrow", MANY), []

    def unpack(block):
        unpacked.append(block)
        return blocks.unpack(block)

    monkeypatch.setattr(storage, "unpack", unpack)
    assert store.ids()[7] == store.id(7) == "d7"
    assert not unpacked
    assert list(store.documents(np.arange(len(MANY)))) == MANY
    assert len(unpacked) == len({bytes(block.content) for block in unpacked}) > 20
    unpacked.clear()
    assert [store[row].id for row in (3, 4, 5, 3)] == ["d3", "d4", "d5", "d3"]
    assert len(unpacked) == 1


def test_a_document_longer_than_a_block_comes_back_and_is_not_kept(tmp_path):
    long = Document("long", "", "ä" * 10**6)
    store = write(tmp_path / "d.arrow", [*MANY[:5], long, *MANY[5:9]])
    assert store[5] == long
    assert (tmp_path / "d.arrow").stat().st_size < 10**4
    assert not store._parts[0]._recent._blocks


def test_the_blocks_kept_are_few(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "KEPT", 3)
    store = write(tmp_path / "d.arrow", MANY)
    assert [store[row] for row in range(len(MANY))] == MANY
    assert len(store._parts[0]._recent._blocks) == 3


def test_threads_read_what_one_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "KEPT", 3)
    store = write(tmp_path / "d.arrow", MANY)
    rows = np.random.default_rng(1).integers(0, len(MANY), 4000).tolist()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(store.__getitem__, rows)) == [MANY[row] for row in rows]


def test_texts_that_are_no_unicode_are_refused_before_anything_is_written(tmp_path):
    with DocumentWriter(tmp_path / "d.arrow") as writer:
        with pytest.raises(UnicodeEncodeError):
            writer.append([Document("a", "", "fine"), Document("b", "", "\ud800")])
        writer.append([Document("c", "", "fine")])
    assert DocumentStore(tmp_path / "d.arrow").ids() == ["c"]


def test_every_flipped_byte_is_an_error_or_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "SIZE", 200)
    monkeypatch.setattr(storage, "SIZE", 200)
    path = tmp_path / "d.arrow"
    wanted = everything(write(path, MANY[:40]))
    content, found = path.read_bytes(), 0
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1 << (at % 8)
        path.write_bytes(changed)
        try:
            store = DocumentStore(path)
        except StorageError:
            continue
        if len(store) == len(MANY[:40]):  # `Segment` refuses another number
            assert everything(store) in (wanted, None), at
            found += everything(store) is None
    assert found > 500


def test_damage_names_the_file_and_what_to_do(tmp_path):
    path = tmp_path / "d.arrow"
    store = write(path, MANY)
    at = path.read_bytes().index(bytes(store._parts[0]._contents[:50])) + 40
    path.write_bytes(path.read_bytes()[:at] + b"\0\1\2" + path.read_bytes()[at + 3 :])
    with pytest.raises(StorageError, match=r"d\.arrow is damaged \(the checksum of a block of texts differs\): index"):
        DocumentStore(path)[0]
    pa.ipc.new_file(str(path), pa.schema([("x", pa.int8())])).close()
    with pytest.raises(StorageError, match=r"damaged \(columns \['x'\]\)"):
        DocumentStore(path)


def test_a_length_that_lies_asks_for_no_memory():
    block = blocks.pack([(b"title", b"text" * 100)])
    assert list(blocks.unpack(block)) == [("title", "text" * 100)]
    for lie in (block._replace(size=2**32 - 1), block._replace(documents=2), block._replace(content=b"x")):
        with pytest.raises(ValueError, match="checksum"):
            blocks.unpack(lie)
