"""Every format gives back what it was given, and holds the very bytes that its specification says."""

import json
import struct
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import InputError
from lsr.formats import FORMATS, GroundTruth, Quantiser, VectorSource, convert, read_ground_truth, write_ground_truth

FLOATS = ("seismic", "seismic-bin", "csr", "parquet")
WHOLE = ("anserini", "anserini-topics", "ciff")

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6)
words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=6)
weights = st.floats(width=32, allow_nan=False, allow_infinity=False).filter(lambda weight: weight != 0)


def collections(weight):
    rows = st.lists(st.dictionaries(words, weight, max_size=6), min_size=1, max_size=5)
    return rows.flatmap(lambda rows: st.tuples(st.lists(texts, min_size=len(rows), max_size=len(rows), unique=True),
                                               st.just(rows)))  # fmt: skip


def write_lines(path, ids, rows):
    lines = [json.dumps({"id": name, "content": "", "vector": row}) + "\n" for name, row in zip(ids, rows, strict=True)]
    path.write_text("".join(lines))
    return path


def read(path, name=None):
    source = VectorSource([path], name)
    found = [(batch.documents, batch.matrix) for batch in source]
    ids = [document.id for documents, _ in found for document in documents]
    rows = [{source.vocabulary[t]: w for t, w in row.items()} for _, matrix in found for row in matrix.to_dicts()]
    assert source.position == source.size
    return ids, rows


def through(name, ids, rows):
    with tempfile.TemporaryDirectory() as folder:
        source = VectorSource([write_lines(Path(folder, "in.jsonl"), ids, rows)])
        target = Path(folder, "out" + FORMATS[name].endings[0])
        convert(source, target, name)
        assert not list(Path(folder).glob(".*")), "nothing but the result is left"
        return read(target, name)


@pytest.mark.parametrize("name", FLOATS)
@settings(max_examples=15, deadline=None)
@given(collection=collections(weights))
def test_floats_come_back_exactly(name, collection):
    assert through(name, *collection) == collection


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=15, deadline=None)
@given(collection=collections(st.integers(1, 1000)))
def test_whole_numbers_come_back_exactly(name, collection):
    assert through(name, *collection) == collection


@pytest.mark.parametrize("name", FORMATS)
def test_more_rows_than_a_batch_come_back_in_order(name):
    rng = np.random.default_rng(0)
    rows = [
        {f"t{t}": int(rng.integers(1, 300)) for t in rng.integers(0, 500, rng.integers(0, 12))} for _ in range(2500)
    ]
    ids = [f"d{i}" for i in range(len(rows))]
    assert through(name, ids, rows) == (ids, rows)


def golden(
    tmp_path, name, vectors='{"id":"7","contents":"one","vector":{"b":2,"a":1}}\n{"id":"8","vector":{"a":300}}\n'
):
    (tmp_path / "in.jsonl").write_text(vectors)
    target = tmp_path / ("out" + FORMATS[name].endings[0])
    convert(VectorSource([tmp_path / "in.jsonl"]), target, name)
    return target.read_bytes()


def test_csr_bytes(tmp_path):
    wanted = struct.pack("<3q3q3i3f", 2, 2, 3, 0, 2, 3, 0, 1, 1, 2.0, 1.0, 300.0)
    assert golden(tmp_path, "csr") == wanted
    assert (tmp_path / "out.csr.ids").read_text() == "7\n8\n"
    assert (tmp_path / "out.csr.terms").read_text() == "b\na\n"


def test_seismic_bytes(tmp_path):
    wanted = bytes.fromhex("02000000 02000000 00000000 01000000 00000040 0000803f 01000000 01000000 00009643")
    assert golden(tmp_path, "seismic-bin") == wanted


def test_ciff_bytes(tmp_path):
    header = bytes.fromhex(
        "08 01 10 02 18 02 20 02 28 02 30 af02 39 0000000000f06240"
    )  # .., 303 terms, 151.5 a document
    about = b"sparse vectors, weights as term frequencies, written by lsr"
    header += b"\x42" + bytes([len(about)]) + about
    a = bytes.fromhex(
        "0a0161 1002 18ad02 22021001 220508011 0ac02".replace(" ", "")
    )  # a: df 2, cf 301: (0, 1), (+1, 300)
    b = bytes.fromhex("0a0162 1001 1802 22021002")  # b: (0, 2)
    records = [bytes.fromhex("1201 37 1803"), bytes.fromhex("0801 1201 38 18ac02")]  # number 0 is left out
    wanted = b"".join(bytes([len(message)]) + message for message in (header, a, b, *records))
    assert golden(tmp_path, "ciff") == wanted


def test_ground_truth_bytes(tmp_path):
    content = bytes.fromhex("01000000 02000000 05000000 07000000 0000803f 0000003f")
    (tmp_path / "x.gt").write_bytes(content)
    found = read_ground_truth(tmp_path / "x.gt")
    assert (found.rows.tolist(), found.scores.tolist()) == ([[5, 7]], [[1.0, 0.5]])
    write_ground_truth(tmp_path / "y.gt", GroundTruth(*found))
    assert (tmp_path / "y.gt").read_bytes() == content


def test_json_lines_of_anserini_and_seismic(tmp_path):
    anserini = b'{"id":"7","contents":"one","vector":{"b":2,"a":1}}\n{"id":"8","contents":"","vector":{"a":300}}\n'
    assert golden(tmp_path, "anserini") == anserini
    seismic = b'{"id":"7","content":"one","vector":{"b":2.0,"a":1.0}}\n{"id":"8","content":"","vector":{"a":300.0}}\n'
    assert golden(tmp_path, "seismic") == seismic


def test_topics_lines(tmp_path):
    assert golden(tmp_path, "anserini-topics", '{"qid":1,"vector":{"##s":2,"dog":1}}\n') == b"1\t##s ##s dog\n"


def test_parquet_columns(tmp_path):
    golden(tmp_path, "parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("indices").to_pylist() == [[0, 1], [1]]
    assert table.column("values").to_pylist() == [[2.0, 1.0], [300.0]]
    assert table.column("text").to_pylist() == ["one", None]
    metadata = pq.read_metadata(tmp_path / "out.parquet").metadata
    assert (metadata[b"terms"], metadata[b"dim"]) == (b'["b","a"]', b"2")


def test_parquet_maps_of_tokens_are_read(tmp_path):
    rows = [[("b", 2.5), ("a", 1.0)], [], [("a", 0.5)]]
    column = pa.array(rows, pa.map_(pa.string(), pa.float32()))
    pq.write_table(pa.table({"id": ["x", "y", "z"], "vector": column}), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet") == (["x", "y", "z"], [dict(row) for row in rows])


def test_the_protobuf_library_reads_the_same_index(tmp_path):
    """An independent reader of the encoding: the schema is given to the library by hand."""
    descriptor = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool, message_factory
    from google.protobuf.internal.decoder import _DecodeVarint

    types = {"int32": 5, "int64": 3, "double": 1, "string": 9}
    schema = {
        "Header": ["int32"] * 5 + ["int64", "double", "string"],
        "Posting": ["int32", "int32"],
        "PostingsList": ["string", "int64", "int64", "Posting"],
        "DocRecord": ["int32", "string", "int32"],
    }
    file = descriptor.FileDescriptorProto(name="ciff.proto", package="ciff", syntax="proto3")
    for name, kinds in schema.items():
        message = file.message_type.add(name=name)
        for i, kind in enumerate(kinds, 1):
            scalar = kind in types
            named = {} if scalar else {"type_name": ".ciff.Posting"}
            message.field.add(name=f"f{i}", number=i, type=types.get(kind, 11), label=1 if scalar else 3, **named)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    classes = {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"ciff.{name}")) for name in schema}
    data, at = golden(tmp_path, "ciff"), 0

    def take(name):
        nonlocal at
        length, at = _DecodeVarint(data, at)
        at += length
        return classes[name].FromString(data[at - length : at])

    header = take("Header")
    assert (header.f2, header.f3, header.f6, header.f7) == (2, 2, 303, 151.5)
    lists = [take("PostingsList") for _ in range(header.f2)]
    assert [(one.f1, one.f2, one.f3, [(p.f1, p.f2) for p in one.f4]) for one in lists] == [
        ("a", 2, 301, [(0, 1), (1, 300)]),
        ("b", 1, 2, [(0, 2)]),
    ]
    assert [(r.f1, r.f2, r.f3) for r in (take("DocRecord"), take("DocRecord"))] == [(0, "7", 3), (1, "8", 300)]
    assert at == len(data)


def test_bmp_reads_our_index(tmp_path):
    bmp = pytest.importorskip("bmp")
    rows = [{f"t{t}": 1 + (i * t) % 255 for t in range(i % 7, 40, 3)} for i in range(300)]
    write_lines(tmp_path / "in.jsonl", [f"d{i}" for i in range(300)], rows)
    convert(VectorSource([tmp_path / "in.jsonl"]), tmp_path / "x.ciff")
    bmp.ciff2bmp(str(tmp_path / "x.ciff"), str(tmp_path / "x.bmp"), 8, False)
    query = {"t3": 1.0, "t9": 1.0, "t14": 1.0}  # equal: it rounds unequal ones
    ids, scores = bmp.Searcher(str(tmp_path / "x.bmp")).search(query, k=10, alpha=1.0, beta=1.0)
    exact = {f"d{i}": sum(w * row.get(t, 0) for t, w in query.items()) for i, row in enumerate(rows)}
    found = [exact[name] for name in ids]
    assert found == sorted(exact.values(), reverse=True)[:10]
    assert [score / scores[0] for score in scores] == pytest.approx([score / found[0] for score in found])  # it scales


def test_seismic_reads_our_files(tmp_path):
    seismic = pytest.importorskip("seismic")
    rng = np.random.default_rng(0)
    rows = [{f"t{t}": float(rng.random() + 0.1) for t in rng.choice(50, 12, False)} for _ in range(200)]
    write_lines(tmp_path / "in.jsonl", [str(i) for i in range(200)], rows)
    convert(VectorSource([tmp_path / "in.jsonl"]), tmp_path / "x.bin")
    assert seismic.SeismicIndexRaw.build(str(tmp_path / "x.bin"), n_postings=100).len == 200
    convert(VectorSource([tmp_path / "x.bin"]), tmp_path / "y.jsonl", "seismic")
    index = seismic.SeismicIndex.build(str(tmp_path / "y.jsonl"), n_postings=200)
    kind = seismic.get_seismic_string()
    query = rows[17]
    found = index.search("17", np.array(list(query), kind), np.array(list(query.values()), np.float32), 5, 50, 0.5)
    exact = {str(i): sum(w * row.get(t, 0) for t, w in query.items()) for i, row in enumerate(rows)}
    best = sorted(exact, key=lambda name: -exact[name])[:5]
    assert [hit[2] for hit in found] == best


@pytest.mark.parametrize(
    ("quantiser", "scale", "dropped"), [(Quantiser(scale=100), 100, 1), (Quantiser(bits=8), 102, 1)]
)
def test_rounding_states_its_loss(tmp_path, quantiser, scale, dropped):
    write_lines(tmp_path / "in.jsonl", ["a", "b"], [{"x": 2.5, "y": 0.014}, {"z": 0.001}])
    done = convert(VectorSource([tmp_path / "in.jsonl"]), tmp_path / "x.ciff", None, quantiser)
    assert done.rounding
    assert done.rounding.scale == pytest.approx(scale)
    assert done.rounding.dropped == dropped
    assert (done.rounding.weights, done.nonzeros, done.empty) == (3, 2, 1)
    assert done.rounding.worst == pytest.approx(abs(round(0.014 * scale) / scale - 0.014), rel=1e-3)
    assert done.rounding.share == pytest.approx((done.rounding.worst + 0.001) / 2.515, rel=1e-3)
    assert read(tmp_path / "x.ciff")[1][0] == {"x": round(2.5 * scale), "y": 1}


def test_floats_are_not_cut_silently(tmp_path):
    write_lines(tmp_path / "in.jsonl", ["a"], [{"x": 2.5}])
    with pytest.raises(InputError, match=r"document 'a' has the weight 2\.5 for 'x', but anserini keeps whole numbers"):
        convert(VectorSource([tmp_path / "in.jsonl"]), tmp_path / "y.jsonl", "anserini")
    assert not (tmp_path / "y.jsonl").exists()


def test_signs_survive_where_floats_do(tmp_path):
    assert through("csr", ["a"], [{"x": -1.5, "y": 2.0}]) == (["a"], [{"x": -1.5, "y": 2.0}])
    with pytest.raises(InputError, match="negative weights cannot be kept"):
        through("ciff", ["a"], [{"x": -1}])
