"""Whatever bytes and values a file of vectors holds: vectors come out, or an `InputError`, never another error."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsr.formats import GroundTruth, VectorSource, convert, read_ground_truth, write_ground_truth
from lsr.formats.sidecars import IDS, TERMS
from tests.conftest import outcome

VECTORS = [{f"t{j}": i + j + 1 for j in range(i % 5)} for i in range(12)]
ROWS = [{"id": f"d{i}", "content": f"Text {i} ä", "vector": vector} for i, vector in enumerate(VECTORS)]
ENDINGS = ("jsonl", "jsonl.gz", "tsv", "csr", "bin", "ciff", "ciff.gz", "parquet", "map.parquet", "gt")

flips = st.lists(
    st.tuples(st.integers(0, 2**16), st.one_of(st.sampled_from([0, 1, 127, 128, 255]), st.integers(0, 255)))
)
damages = st.tuples(flips, st.none() | st.integers(0, 2**16), st.binary(max_size=12))
leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3)
json_values = (
    leaves | st.lists(leaves, max_size=2) | st.dictionaries(st.sampled_from(["", "a", "ä\0"]), leaves, max_size=2)
)
fuzzed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def damaged(whole, damage):
    """Bytes replaced, the rest cut off at a place or not, and bytes put in there."""
    flipped, cut, put = damage
    content = bytearray(whole)
    for at, value in flipped:
        content[at % len(content)] = value
    at = len(content) if cut is None else cut % len(content)
    return bytes(content[:at]) + put + (b"" if cut is None or cut % 2 else bytes(content[at:]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small file of each ending."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for ending in ("tsv", "csr", "bin", "ciff", "parquet"):
        convert(VectorSource(folder / "x.jsonl"), folder / f"x.{ending}")
    tokens = pa.array([list(vector.items()) for vector in VECTORS], pa.map_(pa.string(), pa.float64()))
    pq.write_table(pa.table({"id": [row["id"] for row in ROWS], "vector": tokens}), folder / "x.map.parquet")
    for ending in ("jsonl", "ciff"):
        (folder / f"x.{ending}.gz").write_bytes(gzip.compress((folder / f"x.{ending}").read_bytes()))
    truth = GroundTruth(pa.array(range(12)).to_numpy().reshape(3, 4), pa.array([0.5] * 12).to_numpy().reshape(3, 4))
    write_ground_truth(folder / "x.gt", truth)
    return folder


def vectors(path):
    """All rows, checked by their type; or a message."""
    found = outcome(lambda: [(len(batch.documents), len(batch.matrix)) for batch in VectorSource(path)])
    assert found if isinstance(found, str) else all(documents == rows for documents, rows in found)


@pytest.mark.parametrize("ending", ENDINGS)
@fuzzed
@given(damage=damages)
def test_damaged_files(whole, tmp_path, ending, damage):
    path = tmp_path / f"y.{ending}"
    path.write_bytes(damaged((whole / f"x.{ending}").read_bytes(), damage))
    if ending == "gt":
        assert outcome(read_ground_truth, path)
    else:
        vectors(path)


@pytest.mark.parametrize("ending", ["jsonl", "tsv", "csr", "bin", "ciff", "parquet"])
@fuzzed
@given(content=st.binary(max_size=80))
def test_bytes_that_are_anything(tmp_path, ending, content):
    (tmp_path / f"y.{ending}").write_bytes(content)
    vectors(tmp_path / f"y.{ending}")


@pytest.mark.parametrize("beside", [IDS, TERMS])
@fuzzed
@given(damage=damages)
def test_damaged_names_beside_a_matrix(whole, tmp_path, beside, damage):
    for end in ("", IDS, TERMS):
        (tmp_path / f"y.csr{end}").write_bytes((whole / f"x.csr{end}").read_bytes())
    (tmp_path / f"y.csr{beside}").write_bytes(damaged((whole / f"x.csr{beside}").read_bytes(), damage))
    vectors(tmp_path / "y.csr")


@fuzzed
@given(values=st.lists(st.tuples(json_values, json_values), max_size=2), left_out=st.sampled_from(["", "id", "vector"]))
def test_lines_of_anything(tmp_path, values, left_out):
    records = [{"id": name, "content": vector, "vector": vector} for name, vector in values]
    lines = "\n".join(json.dumps({k: v for k, v in record.items() if k != left_out}) for record in records)
    (tmp_path / "y.jsonl").write_text(lines.replace("Infinity", "1e308"))
    vectors(tmp_path / "y.jsonl")


FLAT = [
    pa.array(["a", "b"]),
    pa.array(["", "ä"], pa.large_string()),
    pa.array([b"a", b"\xe9"]),
    pa.array([1, -1]),
    pa.array([2**64 - 1, 0], pa.uint64()),
    pa.array([0.5, float("nan")]),
    pa.array([1, 2], pa.float16()),
    pa.array([True, False]),
    pa.array([None, None]),
    pa.array(["a", None]).dictionary_encode(),
    pa.array([1, 2], pa.decimal128(9, 2)),
    pa.array([1, 2], pa.timestamp("s")),
    pa.array([{"x": 1}, {"x": 2}]),
]
BORDERS = [[0, 1, 2], [0, 0, 2], [0, 2, 2], [0, None, 2]]
flat = st.sampled_from(FLAT)
columns = st.one_of(
    flat,
    st.builds(
        lambda values, at: pa.ListArray.from_arrays(pa.array(at, pa.int32()), values), flat, st.sampled_from(BORDERS)
    ),
    st.builds(lambda values: pa.LargeListArray.from_arrays(pa.array([0, 1, 2]), values), flat),
    st.builds(lambda values: pa.FixedSizeListArray.from_arrays(values, 1), flat),
    st.builds(
        lambda keys, values, at: pa.MapArray.from_arrays(pa.array(at, pa.int32()), keys, values),
        flat.filter(lambda keys: not keys.null_count),
        flat,
        st.sampled_from(BORDERS[:3]),
    ),
)


@fuzzed
@given(data=st.data())
def test_parquet_columns_of_anything(tmp_path, data):
    names = data.draw(st.sampled_from([("indices", "values"), ("vector",), ("indices", "values", "text")]))
    fitting = {"id": flat, "text": flat | columns}
    table = pa.table({name: data.draw(fitting.get(name, columns)) for name in ("id", *names)})
    try:
        pq.write_table(table, tmp_path / "y.parquet")
    except (pa.ArrowException, OSError):  # no Parquet for this type
        return
    vectors(tmp_path / "y.parquet")
