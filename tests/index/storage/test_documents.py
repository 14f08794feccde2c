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
from lsr.index.storage.blocks import Packer, Unpacker, trained
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


def write_plain(path, documents, step=100):
    """Without a dictionary."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "LEAST", 2**30)
        return write(path, documents, step)


def has_dictionary(store):
    return store._parts[0]._unpacker._block is not None


def everything(store):
    """What a store has to say; None for damage."""
    try:
        rows = np.arange(len(store))
        one_by_one = [store[row] for row in rows.tolist()]
        return one_by_one, [store.id(row) for row in rows.tolist()], store.ids(), list(store.documents(rows))
    except StorageError:
        return None


@pytest.mark.parametrize("make", [write, write_plain, write_first])
@pytest.mark.parametrize("step", [1, 7, 4096])
def test_documents_come_back(tmp_path, make, step, monkeypatch):
    monkeypatch.setattr(storage, "BLOCKS", 5)
    monkeypatch.setattr(storage, "SAMPLE", 50_000)
    monkeypatch.setattr(blocks, "LEAST", 4096)
    store = make(tmp_path / "d.arrow", MANY[:500], step)
    ids = [document.id for document in MANY[:500]]
    assert everything(store) == (MANY[:500], ids, ids, MANY[:500])
    assert store.known(["d3", "d499", "d500", "x"]) == {"d3", "d499"}


@given(st.lists(st.builds(lambda *parts: Document(*parts), texts, texts, texts), max_size=12), st.integers(1, 5))
@settings(deadline=None)
def test_any_texts_come_back(tmp_path_factory, documents, step):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "LEAST", 1)
        store = write(tmp_path_factory.mktemp("any") / "d.arrow", documents, step)
    assert [store[row] for row in range(len(store))] == documents
    assert store.ids() == [document.id for document in documents]


@pytest.mark.parametrize("make", [write, write_plain, write_first])
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

    def unpack(self, block, own=Unpacker.unpack):
        unpacked.append(block)
        return own(self, block)

    monkeypatch.setattr(Unpacker, "unpack", unpack)
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
    assert not any(store._parts[0]._recent._slots)


def test_the_blocks_kept_are_few(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "KEPT", 3)
    store = write(tmp_path / "d.arrow", MANY)
    assert [store[row] for row in range(len(MANY))] == MANY
    assert len(store._parts[0]._recent._slots) == 3


@pytest.mark.parametrize("make", [write, write_plain])
def test_threads_read_what_one_reads(tmp_path, make, monkeypatch):
    monkeypatch.setattr(blocks, "KEPT", 3)
    store = make(tmp_path / "d.arrow", MANY)
    assert has_dictionary(store) == (make is write)
    rows = np.random.default_rng(1).integers(0, len(MANY), 4000).tolist()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(store.__getitem__, rows)) == [MANY[row] for row in rows]


def test_texts_that_are_no_unicode_are_refused_before_anything_is_written(tmp_path):
    with DocumentWriter(tmp_path / "d.arrow") as writer:
        with pytest.raises(UnicodeEncodeError):
            writer.append([Document("a", "", "fine"), Document("b", "", "\ud800")])
        writer.append([Document("c", "", "fine")])
    assert DocumentStore(tmp_path / "d.arrow").ids() == ["c"]


@pytest.mark.parametrize("make", [write, write_plain])
def test_every_flipped_byte_is_an_error_or_changes_nothing(tmp_path, make, monkeypatch):
    monkeypatch.setattr(storage, "SIZE", 200)
    monkeypatch.setattr(blocks, "LEAST", 256)
    path = tmp_path / "d.arrow"
    store = make(path, MANY[:40])
    assert has_dictionary(store) == (make is write)
    wanted = everything(store)
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
    block = Packer().pack([(b"title", b"text" * 100)])
    assert list(Unpacker().unpack(block)) == [("title", "text" * 100)]
    for lie in (block._replace(size=2**32 - 1), block._replace(documents=2), block._replace(content=b"x")):
        with pytest.raises(ValueError, match="checksum"):
            Unpacker().unpack(lie)


def test_texts_over_another_dictionary_are_refused():
    pairs = [(f"Title {i}".encode(), f"one of {i} texts ".encode() * 9) for i in range(2000)]
    dictionary, other = trained(pairs), trained([(title, text[::-1]) for title, text in pairs])
    assert len(dictionary) > 10_000 < len(other)
    block = Packer(dictionary).pack(pairs[:3])
    wanted = [(title.decode(), text.decode()) for title, text in pairs[:3]]
    assert list(Unpacker(Packer().pack_dictionary(dictionary)).unpack(block)) == wanted
    assert len(block.content) < 0.8 * len(Packer().pack(pairs[:3]).content)
    for wrong in (None, Packer().pack_dictionary(other)):
        with pytest.raises(ValueError, match="checksum"):
            Unpacker(wrong).unpack(block)


def test_a_dictionary_is_made_where_it_pays():
    assert not trained([(b"", b"a few words")] * 100)
    assert not trained([])
    assert not trained([(b"", b"")] * 10**5)
    assert not trained([(b"", b"long " * 10**5)])  # no sample of one


def test_a_dictionary_is_made_of_the_first_texts(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(storage, "SAMPLE", 40_000)

    def watched(pairs):
        seen.append(len(pairs))
        return trained(pairs)

    monkeypatch.setattr(storage, "trained", watched)
    words = [" ".join(f"wörd{i * j % 977}" for j in range(60)) for i in range(2000)]
    documents = [Document(f"d{i}", "", text) for i, text in enumerate(words)]
    monkeypatch.setattr(blocks, "LEAST", 1000)
    store = write(tmp_path / "d.arrow", documents)
    assert len(seen) == 1
    assert seen[0] < 150
    assert has_dictionary(store)
    assert list(store.documents(np.arange(2000))) == documents


@pytest.mark.parametrize("text", ["", "x"])
def test_what_waits_for_a_dictionary_is_bounded_for_the_shortest_texts_too(tmp_path, text, monkeypatch):
    monkeypatch.setattr(storage, "BLOCKS", 4)
    documents = [Document(f"d{i}", "", text) for i in range(5000)]
    with DocumentWriter(tmp_path / "d.arrow") as writer:
        writer.append(documents)
        assert not writer._waiting
    store = DocumentStore(tmp_path / "d.arrow")
    assert not has_dictionary(store)
    assert everything(store)[3] == documents
