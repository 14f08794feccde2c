from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from lsr.errors import VectorError
from lsr.sparse import SparseMatrix, check_summable, concatenate, term_dtype

DIM = 50
rows = st.lists(st.dictionaries(st.integers(0, DIM - 1), st.floats(0.125, 100, width=32)), max_size=8)


def matrix(indptr=(0, 2, 3), terms=(1, 4, 2), weights=(1.0, 2.0, 3.0), dim=5, **changes):
    given = [(indptr, np.int64), (terms, np.uint16), (weights, np.float32)]
    arrays: list[Any] = [np.array(values, dtype) if isinstance(values, tuple) else values for values, dtype in given]
    return SparseMatrix(arrays[0], arrays[1], arrays[2], dim, **changes)


@given(rows)
def test_dicts_come_back_as_they_went_in(dicts):
    assert SparseMatrix.from_dicts(dicts, DIM).to_dicts() == dicts


@given(rows)
def test_scipy_matrices_come_back_as_they_went_in(dicts):
    ours = SparseMatrix.from_dicts(dicts, DIM)
    assert SparseMatrix.from_scipy(ours.to_scipy()).to_dicts() == dicts


@given(rows, rows)
def test_concatenation_holds_the_rows_of_both(first, second):
    joined = concatenate([SparseMatrix.from_dicts(first, DIM), SparseMatrix.from_dicts(second, DIM)])
    assert joined.to_dicts() == first + second


@given(rows, st.data())
def test_a_slice_holds_its_rows(dicts, data):
    start = data.draw(st.integers(0, len(dicts)))
    stop = data.draw(st.integers(start, len(dicts)))
    assert SparseMatrix.from_dicts(dicts, DIM).slice(start, stop).to_dicts() == dicts[start:stop]


def test_scipy_zeros_and_duplicates_are_folded():
    raw = csr_array((np.array([1.0, 2.0, 0.0]), np.array([3, 3, 1]), np.array([0, 3])), shape=(1, 5))
    assert SparseMatrix.from_scipy(raw).to_dicts() == [{3: 3.0}]


def test_uint8_weights_are_scaled():
    part = matrix(weights=np.array([10, 20, 30], np.uint8), scale=0.5)
    assert part.values.tolist() == [5.0, 10.0, 15.0]
    assert part.row(1)[1].tolist() == [15.0]


def test_terms_take_two_bytes_up_to_65536_terms():
    assert term_dtype(65536) is np.uint16
    assert term_dtype(65537) is np.uint32


def test_a_matrix_without_rows_is_fine():
    assert len(SparseMatrix.from_dicts([], 3)) == 0


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "nan": ({"weights": (1.0, np.nan, 3.0)}, "row 0, position 1: weight nan"),
    "infinite": ({"weights": (1.0, 2.0, np.inf)}, "row 1, position 0: weight inf"),
    "zero": ({"weights": (1.0, 0.0, 3.0)}, "row 0, position 1: weight 0.0, wanted a finite number other than 0"),
    "unsorted": ({"terms": (4, 1, 2)}, "row 0, position 1: term 1 comes after term 4"),
    "repeated": ({"terms": (4, 4, 2)}, "term 4 comes after term 4"),
    "out of range": ({"terms": (1, 5, 2)}, "row 0, position 1: term 5, wanted a term below dim = 5"),
    "short weights": ({"weights": (1.0, 2.0)}, "3 terms but 2 weights"),
    "borders end early": ({"indptr": (0, 2, 2)}, "indptr runs from 0 to 2"),
    "borders fall": ({"indptr": (0, 4, 3)}, "indptr falls after row 1"),
    "no borders": ({"indptr": ()}, "indptr runs from nothing"),
    "int32 terms": ({"terms": np.array([1, 4, 2], np.int32)}, r"terms is int32\[3\]"),
    "float64 weights": ({"weights": np.ones(3)}, r"weights is float64\[3\]"),
    "a list": ({"terms": [1, 4, 2]}, "terms is list"),
    "no terms": ({"dim": 0}, "dim is 0"),
    "scale": ({"scale": 0.0}, "scale is 0.0"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_named_with_its_place(name):
    changes, message = BROKEN[name]
    with pytest.raises(VectorError, match=message):
        matrix(**changes)


@pytest.mark.parametrize("dim", [0, -1, 2**32, 2**40, 1.5, "5", None])
def test_a_number_of_terms_that_is_none_is_refused(dim):
    for make in (lambda: SparseMatrix.from_dicts([{2**33: 1.0}], dim), lambda: matrix(dim=dim)):
        with pytest.raises(VectorError, match=r"dim is .*: wanted a whole number from 1 to 4,294,967,295"):
            make()


def test_dicts_with_a_term_out_of_range_are_refused():
    with pytest.raises(VectorError, match="term 7: wanted 0 <= term < dim = 5"):
        SparseMatrix.from_dicts([{7: 1.0}], 5)
    with pytest.raises(VectorError, match="term -1"):
        SparseMatrix.from_dicts([{-1: 1.0}], 5)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({1: 1e-50, 2: 1.0}, {2: 1.0}),
        ({1: -1e-60}, {}),
        ({1: 0, 3: np.float64(2)}, {3: 2.0}),
        ({np.int64(4): 1}, {4: 1.0}),
    ],
)
def test_weights_that_are_0_as_float32_are_dropped(row, found):
    assert SparseMatrix.from_dicts([{}, row], DIM).to_dicts() == [{}, found]
    dense = np.zeros((1, DIM))
    dense[0, list(row)] = list(row.values())
    assert SparseMatrix.from_scipy(csr_array(dense)).to_dicts() == [found]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({1: 1e39}, "row 0, position 0: weight inf, wanted a finite number"),
        ({1: float("nan")}, "row 0, position 0: weight nan"),
        ({1: 10**400}, "wanted whole numbers of terms with their weights"),
        ({1: "x"}, "found {1: 'x'}, wanted whole numbers of terms"),
        ({1.5: 1.0}, "found {1.5: 1.0}, wanted whole numbers of terms"),
        ({"a": 1.0}, "found {'a': 1.0}, wanted whole numbers of terms"),
        ([1, 2], r"found \[1, 2\], wanted whole numbers of terms"),
    ],
)
def test_rows_that_are_no_vectors_are_refused(row, message):
    with pytest.raises(VectorError, match=message):
        SparseMatrix.from_dicts([row], DIM)


@pytest.mark.parametrize(("weights", "scale"), [((1.0, -2e15), 1.0), ((3e38, 1.0), 1.0), ((200, 1), 1e13)])
def test_weights_that_could_make_scores_infinite_are_named(weights, scale):
    kind = np.uint8 if scale != 1 else np.float32
    found = matrix((0, 0, 2), (1, 4), np.array(weights, kind), scale=scale)
    with pytest.raises(VectorError, match=r"row 1 has the weight (-2e\+15|3e\+38|2e\+15), wanted at most 1e\+15"):
        check_summable(found)
    check_summable(found.slice(0, 1))


def test_parts_of_different_scale_do_not_concatenate():
    with pytest.raises(VectorError, match="different scales"):
        concatenate([matrix(), matrix(weights=np.array([1, 2, 3], np.uint8), scale=0.5)])
