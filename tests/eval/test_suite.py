import pytest

from lsr.errors import InputError
from lsr.eval import Cell, CellStore, Values, collection_name, histogram, markdown, measured, read_suite, suite_table
from lsr.eval.report.plots import frontier_of

QRELS = {"q 1": {"Ann Lee": 1}, "2": {"50%": 2}}
RUN = {"q 1": [("x", 2.0), ("Ann Lee", 1 / 3)], "2": [("50%", 0.1)]}


def suite(tmp_path, text, collections='["a", "b"]'):
    path = tmp_path / "s.toml"
    path.write_text(f'title = "t"\ncollections = {collections}\n{text}')
    return read_suite(path)


def test_engines_become_systems_and_fusions_follow_their_last_part(tmp_path):
    found = suite(
        tmp_path,
        """
        [[system]]
        name = "bm25"
        encoder = "bm25"
        [[system]]
        name = "m"
        encoder = "model"
        engine = ["exact", "seismic"]
        [[system]]
        name = "both"
        fuse = ["bm25", "m"]
        [[system]]
        name = "all"
        fuse = ["both", "m (seismic)"]
        """,
    )
    assert [spec.name for spec in found.system] == ["bm25", "m", "m (seismic)", "both", "all"]
    order = [(spec.name, path[-1]) for spec, path in found.order()]
    assert order[:2] == [("bm25", "a"), ("bm25", "b")]
    assert order[2:6] == [("m", "a"), ("both", "a"), ("m", "b"), ("both", "b")]
    assert order[6:] == [("m (seismic)", "a"), ("all", "a"), ("m (seismic)", "b"), ("all", "b")]
    assert found.depth == 100


@pytest.mark.parametrize("name", ["bm25", "default"])
def test_encoders_that_come_with_lsr_are_names_and_no_paths(tmp_path, name):
    assert suite(tmp_path, f'[[system]]\nname = "a"\nencoder = "{name}"').system[0].encoder == name


def test_results_are_kept_as_deep_as_measures_and_convention_need(tmp_path):
    found = suite(tmp_path, 'convention = "beir"\n[[system]]\nname = "a"\nencoder = "bm25"')
    assert found.depth == 101  # a document of the query's id may be taken out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[system]]\nname = "a"', "wanted exactly one of encoder, fuse and runs"),
        ('[[system]]\nname = "a"\nencoder = "bm25"\nspeed = 1', "unknown field `speed`"),
        ('[[system]]\nname = "a"\nfuse = ["b", "c"]', "fuses 'b', which is no system above it"),
        ('[[system]]\nname = "a"\nencoder = "bm25"\nrecall = 0.9', "recall is for an approximate engine"),
        ('[[system]]\nname = "a b"\nencoder = "bm25"\n[[system]]\nname = "a-b"\nencoder = "bm25"', "one file name"),
        ('baseline = "z"\n[[system]]\nname = "a"\nencoder = "bm25"', "baseline 'z' is no system"),
        ('convention = "z"\n[[system]]\nname = "a"\nencoder = "bm25"', "unknown convention 'z'"),
        ("system = []", "one system and one collection"),
        ("[[system]", "not a suite"),
        ('measures = []\n[[system]]\nname = "a"\nencoder = "bm25"', "one measure at least"),
        ('measures = ["P@0"]\n[[system]]\nname = "a"\nencoder = "bm25"', "unknown measure 'P@0'"),
        (
            '[[system]]\nname = "a"\nencoder = "bm25"\n[[system]]\nname = "b"\nfuse = ["a", "a"]\nweights = [nan, 1.0]',
            r"weights \[nan, 1.0\]: wanted finite numbers",
        ),
    ],
)
def test_a_suite_that_makes_no_sense_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        suite(tmp_path, text)


def test_two_collections_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="'a' was given twice"):
        suite(tmp_path, '[[system]]\nname = "a"\nencoder = "bm25"', '["x/a.zip", "y/a"]')


def test_names_of_a_provider_are_no_paths(tmp_path):
    found = suite(tmp_path, '[[system]]\nname = "a"\nencoder = "bm25"', '["irds:beir/scifact/test", "x/y.zip"]')
    assert found.collections[0] == "irds:beir/scifact/test"
    assert [collection_name(path) for path in found.collections] == ["beir-scifact-test", "y"]


def cell(system, collection, value, key="k"):
    values = Values("trec", {"RR": value}, {"RR": (0.0, 1.0)}, {"RR": {}}, [])
    return Cell(key=key, system=system, collection=collection, documents=1, values=values, made={}, about={})


def test_a_cell_and_its_run_come_back_whatever_the_ids(tmp_path):
    store = CellStore(tmp_path)
    assert store.read("a b", "c") is None
    store.write(cell("a b", "c", 0.5), RUN)
    assert store.read("a b", "c") == cell("a b", "c", 0.5)
    assert store.run("a b", "c") == RUN
    assert not list(tmp_path.rglob("*.new"))


def test_both_conventions_are_measured_and_an_empty_ranking_is_a_missing_one():
    found = measured(QRELS, RUN | {"2": []}, ["RR"], "beir")
    assert found.by_convention == {"trec": {"RR": 0.25}, "beir": {"RR": 0.5}}
    assert found.measures == {"RR": 0.5}
    assert found.notes == ["1 judged query without results: left out; counted as 0 by trec"]


def test_a_system_that_finds_nothing_is_measured():
    assert measured(QRELS, {"q 1": [], "2": []}, ["RR"], "trec").by_convention == {"trec": {"RR": 0.0}}


def test_the_table_marks_the_best_and_gives_no_mean_for_a_part():
    cells = {(s, c): cell(s, c, v) for s, c, v in [("a", "x", 0.5), ("a", "y", 0.1), ("b", "x", 0.50004)]}
    table = suite_table(cells, ["a", "b"], ["x", "y"], "RR")
    assert [[(e.text, e.best) for e in row] for row in table.rows.values()] == [
        [("0.5000", True), ("0.1000", False), ("0.3000", False)],
        [("0.5000", True), ("–", False), ("1 of 2", False)],
    ]
    assert markdown(table).splitlines()[2] == "| a | **0.5000** | 0.1000 | 0.3000 |"


def test_a_histogram_counts_every_document():
    import numpy as np

    found = histogram(np.array([0, 1, 1, 100]))
    assert sum(count for _, count in found) == 4
    assert found[0] == (2.5, 3)
    assert found[-1] == (100.0, 1)
    assert histogram(np.zeros(0, np.int64)) == []


def test_the_frontier_leaves_out_what_another_beats_on_both():
    assert frontier_of([(3, 5), (1, 2), (2, 1), (4, 5), (5, 9), (1, 1)]) == [(1, 2), (3, 5), (5, 9)]
