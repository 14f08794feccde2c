"""Vectors of a corpus in one Parquet file, whatever happens on the way."""

import os
import re
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from lsr.corpus import Document
from lsr.encoders import BM25Encoder
from lsr.encoders.bulk import vector_file
from lsr.encoders.bulk.vector_file import write_vectors
from lsr.errors import EncoderError, InputError, MismatchError, StorageError

WORDS = "bees dance tell where flowers castle walls moat spring garden".split()


def documents(count, first=0):
    return [Document(f"d{i}", "", " ".join(WORDS[(i * j) % 10] for j in range(1, 6))) for i in range(first, count)]


@pytest.fixture
def encoder():
    encoder = BM25Encoder()
    encoder.observe([document.text for document in documents(10)])
    encoder.batch_documents = 7
    return encoder


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(vector_file, "PART_DOCUMENTS", 20)


def read(path):
    table = pq.read_table(path)
    rows = zip(table["indices"].to_pylist(), table["values"].to_pylist(), strict=True)
    return table["id"].to_pylist(), [dict(zip(i, v, strict=True)) for i, v in rows]


def test_the_file_holds_every_vector_and_names_its_encoder(encoder, tmp_path):
    docs = [*documents(50), Document("empty", "", "")]
    summary = write_vectors(docs, encoder, tmp_path / "v.parquet")
    ids, rows = read(tmp_path / "v.parquet")
    assert ids == [document.id for document in docs]
    assert rows == encoder.encode_documents([document.text for document in docs]).to_dicts()
    assert (summary.documents, summary.resumed, summary.empty) == (51, 0, 1)
    about = pq.read_metadata(tmp_path / "v.parquet").metadata
    assert about[b"fingerprint"].decode() == encoder.fingerprint
    assert about[b"dim"] == b"10"
    assert [path.name for path in tmp_path.iterdir()] == ["v.parquet"]


class StopError(Exception):
    """Stands for a kill."""


def stop_after(docs, number):
    yield from docs[:number]
    raise StopError


@pytest.mark.parametrize("number", [0, 13, 45])
def test_stopped_work_goes_on_after_the_last_whole_part(number, encoder, tmp_path):
    with pytest.raises(StopError):
        write_vectors(stop_after(documents(60), number), encoder, tmp_path / "v.parquet")
    assert not (tmp_path / "v.parquet").exists()
    summary = write_vectors(documents(60), encoder, tmp_path / "v.parquet")
    assert summary.resumed == number // 21 * 21
    assert summary.documents == 60
    write_vectors(documents(60), encoder, tmp_path / "whole.parquet")
    assert read(tmp_path / "v.parquet") == read(tmp_path / "whole.parquet")


def test_parts_of_another_source_are_refused(encoder, tmp_path):
    with pytest.raises(StopError):
        write_vectors(stop_after(documents(60), 45), encoder, tmp_path / "v.parquet")
    with pytest.raises(InputError, match="holds document 'd0' where the source has 'd1': the source changed"):
        write_vectors(documents(60, first=1), encoder, tmp_path / "v.parquet")


def test_parts_of_another_encoder_are_refused(encoder, tmp_path):
    with pytest.raises(StopError):
        write_vectors(stop_after(documents(60), 45), encoder, tmp_path / "v.parquet")
    encoder.observe(["something new"])
    with pytest.raises(MismatchError, match="comes from another encoder"):
        write_vectors(documents(60), encoder, tmp_path / "v.parquet")


def test_a_damaged_part_is_named(encoder, tmp_path):
    with pytest.raises(StopError):
        write_vectors(stop_after(documents(60), 45), encoder, tmp_path / "v.parquet")
    (tmp_path / "v.parquet.parts" / "part-000000.parquet").write_bytes(b"rubbish")
    with pytest.raises(StorageError, match=r"part-000000.parquet is damaged"):
        write_vectors(documents(60), encoder, tmp_path / "v.parquet")


def changed(docs, at, text):
    return [*docs[:at], docs[at]._replace(text=text), *docs[at + 1 :]]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (changed(documents(60), 13, "walls"), "vectors of other texts of the documents 'd0' to 'd20'"),
        (changed(documents(60), 41, ""), "vectors of other texts of the documents 'd21' to 'd41'"),
        (documents(33), "holds document 'd33' where the source ends"),
    ],
)
def test_vectors_of_texts_that_changed_are_not_kept(source, message, encoder, tmp_path):
    with pytest.raises(StopError):
        write_vectors(stop_after(documents(60), 45), encoder, tmp_path / "v.parquet")
    with pytest.raises(InputError, match=f"{message}.*the source changed; delete the folder to start again"):
        write_vectors(source, encoder, tmp_path / "v.parquet")
    assert write_vectors(documents(60), encoder, tmp_path / "v.parquet").resumed == 42
    assert not (tmp_path / "v.parquet.parts").exists()


def test_a_part_that_does_not_say_its_texts_is_damaged(encoder, tmp_path):
    with pytest.raises(StopError):
        write_vectors(stop_after(documents(60), 45), encoder, tmp_path / "v.parquet")
    part = tmp_path / "v.parquet.parts" / "part-000001.parquet"
    pq.write_table(pq.read_table(part).replace_schema_metadata({"fingerprint": encoder.fingerprint}), part)
    with pytest.raises(StorageError, match=r"part-000001.parquet is damaged"):
        write_vectors(documents(60), encoder, tmp_path / "v.parquet")


@pytest.mark.parametrize(
    ("docs", "fault"),
    [([], InputError), ([Document("a", "", "x"), Document("a", "", "y")], InputError), (documents(3), EncoderError)],
)
def test_a_refusal_leaves_nothing(docs, fault, encoder, tmp_path):
    with pytest.raises(fault):
        write_vectors(docs, BM25Encoder() if fault is EncoderError else encoder, tmp_path / "v.parquet")
    assert list(tmp_path.iterdir()) == []


def test_what_others_keep_in_the_folder_of_parts_stays(encoder, tmp_path):
    (tmp_path / "v.parquet.parts").mkdir()
    (tmp_path / "v.parquet.parts" / "mine").write_text("x")
    write_vectors(documents(30), encoder, tmp_path / "v.parquet")
    assert [path.name for path in (tmp_path / "v.parquet.parts").iterdir()] == ["mine"]


def test_a_folder_is_no_file(encoder, tmp_path):
    with pytest.raises(InputError, match="is a folder: name a file"):
        write_vectors(documents(30), encoder, tmp_path)


def test_a_second_writer_is_refused_and_a_killed_one_holds_nothing(encoder, tmp_path):
    """The first is another process: it holds the file, writes a part, and is killed."""
    target = tmp_path / "v.parquet"
    first = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from lsr.replacing import sole_writer\n"
        f"with sole_writer(Path({str(target)!r} + '.parts'), Path({str(target)!r})):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", first], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(StorageError, match=r"another process is writing .*v\.parquet: wait for it"):
            write_vectors(documents(30), encoder, target)
        process.kill()
    assert write_vectors(documents(30), encoder, target).documents == 30
    assert [path.name for path in tmp_path.iterdir()] == ["v.parquet"]


def test_an_id_given_twice_is_refused_even_across_a_stop(encoder, tmp_path):
    with pytest.raises(InputError, match="'d3' was given before"):
        write_vectors([*documents(30), *documents(4, first=3)], encoder, tmp_path / "v.parquet")
    with pytest.raises(InputError, match="'d3' was given before"):
        write_vectors([*documents(30), *documents(4, first=3)], encoder, tmp_path / "v.parquet")


def test_no_documents_are_refused(encoder, tmp_path):
    with pytest.raises(InputError, match="the source is empty"):
        write_vectors([], encoder, tmp_path / "v.parquet")


def test_a_killed_command_goes_on(tmp_path):
    """The real thing: a process killed while it encodes, started again."""
    source, target, made = tmp_path / "c.jsonl", tmp_path / "v.parquet", documents(60_000)
    source.write_text("\n".join(f'{{"id": "{d.id}", "text": "{d.text}"}}' for d in made))
    command = [sys.executable, "-c", "from lsr.cli import main; main()", "encode", str(source)]
    command += ["--encoder", "bm25", "--out", str(target)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    first = tmp_path / "v.parquet.parts" / "part-000000.parquet"
    while not first.exists() and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not target.exists()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.search(r"taken over +[1-9]", again.stdout)
    assert read(target)[0] == [document.id for document in made]


def test_several_devices_give_the_vectors_of_one(splade_tiny):
    pytest.importorskip("torch")
    from lsr.encoders import load
    from lsr.encoders.bulk.parallel import encode_on

    batches = [[document.text for document in documents(8 * i + 8, first=8 * i)] for i in range(5)]
    found = list(encode_on(str(splade_tiny), ["cpu", "cpu"], batches))
    wanted = [load(splade_tiny, device="cpu").encode_documents(texts) for texts in batches]
    assert [f.matrix.to_dicts() for f in found] == [w.to_dicts() for w in wanted]


def test_a_fault_in_another_process_arrives_as_it_is(tmp_path):
    from lsr.encoders.bulk.parallel import encode_on

    with pytest.raises(EncoderError):
        list(encode_on(str(tmp_path), ["cpu", "cpu"], [["a"]]))
