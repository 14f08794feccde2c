"""A training folder gives back what was written, and says which row of which file is wrong."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lsr.errors import InputError, TrainingError
from lsr.training.data.examples import Answers, Example, Examples
from lsr.training.data.sources import read_data
from lsr.training.data.training_folder import write_row_folder

QUERIES, DOCUMENTS = ["q0", "q1"], ["d0", "d1", "d2"]
EXAMPLES = [Example(1, (2, 0), (1.5, -1.0)), Example(0, (1,)), Example(1, (0, 1, 2), (3.0, 2.0, 1.0))]


def write(folder, **tables):
    """A folder of good files; ``tables`` take the place of some."""
    write_row_folder(folder, QUERIES, DOCUMENTS, Examples.of(EXAMPLES))
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder


def test_examples_are_arrays_that_read_as_they_were_given():
    examples = Examples.of(EXAMPLES)
    assert list(examples) == EXAMPLES
    assert (str(examples.documents.dtype), examples.documents.tolist()) == ("int32", [2, 0, 1, 0, 1, 2])
    assert examples.positives.tolist() == [2, 1, 0]
    assert Examples.of([Example(0, (1,))]).scores is None


def test_answers_are_the_positives_of_all_sources():
    answers = Answers([Examples.of(EXAMPLES), Examples.of([Example(0, (2, 1))])], 3)
    assert [answers.of(query).tolist() for query in range(3)] == [[1, 2], [0, 2], []]


def test_a_folder_gives_back_its_texts_and_examples(tmp_path):
    data = read_data([write(tmp_path / "rows")])
    assert (data.queries, data.documents) == (QUERIES, DOCUMENTS)
    assert list(data.examples[0]) == EXAMPLES


def test_a_folder_beside_another_source_shares_its_texts(tmp_path):
    pq.write_table(pa.table({"query": ["q1"], "positive": ["d2"]}), tmp_path / "a.parquet")
    data = read_data([tmp_path / "a.parquet", write(tmp_path / "rows")])
    assert (data.queries, data.documents) == (["q1", "q0"], ["d2", "d0", "d1"])
    found = [[data.documents[row] for row in example.documents] for example in data.examples[1]]
    assert found == [[DOCUMENTS[row] for row in example.documents] for example in EXAMPLES]


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        (
            "documents",
            {"text": ["a", " ", "c"]},
            r"documents.parquet, row 1 \(the first is 0\): text holds ' '; wanted a",
        ),
        ("queries", {"text": ["a", None]}, r"queries.parquet, row 1 .*: text holds None; wanted a text"),
        ("queries", {"name": ["a", "b"]}, "queries.parquet: found the columns name; wanted text"),
        ("documents", {"text": [1, 2, 3]}, "documents.parquet: the column 'text' holds int64; wanted texts"),
        ("examples", {"query": [0]}, "examples.parquet: found the columns query; wanted query and documents"),
        (
            "examples",
            {"query": [0], "documents": ["a"]},
            "column 'documents' holds string; wanted lists of row numbers",
        ),
        (
            "examples",
            {"query": [0, 2], "documents": [[0], [1]]},
            r"row 1 .*: query row 2; wanted 0 to 1, a row of quer",
        ),
        (
            "examples",
            {"query": [0, 1], "documents": [[0], [1, 3]]},
            r"row 1 .*: document row 3; wanted 0 to 2, a row of",
        ),
        ("examples", {"query": [0, 1], "documents": [[0], [-1]]}, "document row -1; wanted 0 to 2"),
        ("examples", {"query": [0, None], "documents": [[0], [1]]}, "row 1 .*: query holds no row"),
        ("examples", {"query": [0, 1], "documents": [[0], []]}, "row 1 .*: no documents; wanted one or more"),
        ("examples", {"query": [0, 1], "documents": [[0], None]}, "row 1 .*: no documents; wanted one or more"),
        (
            "examples",
            {"query": [0, 1], "documents": [[0], [1, 2]], "scores": [[1.0], [2.0]]},
            "row 1 .*: 1 scores for 2 documents; wanted one score a document",
        ),
        (
            "examples",
            {"query": [0, 1], "documents": [[0], [1]], "scores": [None, [float("nan")]]},
            "row 1 .*: a teacher's score is nan; wanted a finite number",
        ),
        ("examples", {"query": [0], "documents": [[0]], "scores": ["x"]}, "'scores' holds string, wanted lists of num"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_row(tmp_path, name, columns, message):
    with pytest.raises(InputError, match=message):
        read_data([write(tmp_path / "rows", **{name: columns})])


def test_a_missing_or_damaged_file_is_named(tmp_path):
    folder = write(tmp_path / "rows")
    path = folder / "documents.parquet"
    data = bytearray(path.read_bytes())
    path.write_bytes(data[:40])
    with pytest.raises(InputError, match=r"documents.parquet: not a readable Parquet file"):
        read_data([folder])
    path.unlink()
    with pytest.raises(InputError, match=r"no documents.parquet; wanted documents.parquet, queries.parquet and"):
        read_data([folder])


def test_a_text_that_is_not_utf8_is_named_by_its_row(tmp_path):
    texts = pa.array([b"bees", b"caf\xe9"])
    broken = pa.StringArray.from_buffers(2, *texts.buffers()[1:])
    folder = write(tmp_path / "rows")
    pq.write_table(pa.table({"text": broken}), folder / "documents.parquet")
    with pytest.raises(InputError, match=r"documents.parquet, row 1: .*UTF8"):
        read_data([folder])
    pq.write_table(pa.table({"query": ["a", "b"], "positive": broken}), tmp_path / "pairs.parquet")
    with pytest.raises(InputError, match=r"pairs.parquet, row 2: .*UTF8"):
        read_data([tmp_path / "pairs.parquet"])


def test_no_examples_and_a_second_writing_are_refused(tmp_path):
    folder = write(tmp_path / "rows")
    with pytest.raises(InputError, match="choose a new folder"):
        write_row_folder(folder, QUERIES, DOCUMENTS, Examples.of(EXAMPLES))
    none = pa.table({"query": pa.array([], pa.int32()), "documents": pa.array([], pa.list_(pa.int32()))})
    pq.write_table(none, folder / "examples.parquet")
    with pytest.raises(TrainingError, match="holds no pair"):
        read_data([folder])
