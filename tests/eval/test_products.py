"""Product search in the exact layout of its two collections."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lsr.corpus import Document, DocumentReader
from lsr.errors import InputError
from lsr.eval import evaluate, find_collections, load_collection, parse_measures

COLUMNS = ("product_id", "product_name", "product_class", "category hierarchy", "product_description")
MORE = ("product_features", "rating_count", "average_rating", "review_count")
PRODUCTS = (
    "\t".join((*COLUMNS, *MORE))
    + """
0\tsolid wood platform bed\tBeds\tFurniture / Beds\tgood , deep sleep\toverallwidth:64.7|color:oak\t15.0\t4.5\t15.0
1\t"7"" slow cooker"\tSlow Cookers\tKitchen\t\tcapacity:7\t\t\t
"""
)
QUERIES = "query_id\tquery\tquery_class\n0\tsalon chair\tMassage Chairs\n1\tslow cooker\tSlow Cookers\n"
LABELS = "id\tquery_id\tproduct_id\tlabel\n0\t1\t1\tExact\n1\t1\t0\tIrrelevant\n2\t0\t0\tPartial\n"


@pytest.fixture
def wands(tmp_path):
    folder = tmp_path / "dataset"
    folder.mkdir()
    for name, content in (("product", PRODUCTS), ("query", QUERIES), ("label", LABELS)):
        (folder / f"{name}.csv").write_text(content)
    return folder


def test_wands_is_a_collection(wands):
    found = load_collection(wands)
    assert found.queries == {"1": "slow cooker", "0": "salon chair"}
    assert found.qrels == {"1": {"1": 2, "0": 0}, "0": {"0": 1}}
    assert list(DocumentReader([found.path])) == [
        Document("0", "solid wood platform bed", "good , deep sleep overallwidth:64.7|color:oak"),
        Document("1", '7" slow cooker', "capacity:7"),
    ]
    assert [one.known and one.known.name for one in find_collections([wands.parent])] == ["wands"]


def test_bad_rows_of_wands_are_named(wands):
    (wands / "label.csv").write_text(LABELS + "3\t0\t1\tGood\n")
    with pytest.raises(InputError, match=r"label.csv, line 5: found the label 'Good', wanted Exact, Partial"):
        load_collection(wands)
    (wands / "label.csv").write_text(LABELS + "3\t1\t1\tPartial\n")
    with pytest.raises(InputError, match=r"label.csv, line 5: product '1' had another label for query 1"):
        load_collection(wands)
    (wands / "product.csv").write_text(PRODUCTS + "2\tshort\n")
    with pytest.raises(InputError, match=r"product.csv, line 4: found 2 columns, wanted 9"):
        list(DocumentReader([wands]))
    (wands / "query.csv").write_text("query_id,query\n")
    with pytest.raises(InputError, match=r"query.csv: no column 'query_id'"):
        load_collection(wands)


def test_wands_is_read_however_long_its_fields_and_with_a_mark(wands):
    long = "\ufeff" + PRODUCTS + '2\t"a\n\nb"\tBeds\tc\t"' + "oak " * 40_000 + '"\tx\t\t\t\n'
    (wands / "product.csv").write_text(long, encoding="utf-8", newline="\r\n")
    found = list(DocumentReader(wands))
    assert [document.id for document in found] == ["0", "1", "2"]
    assert found[2] == Document("2", found[2].title, "oak " * 39_999 + "oak x")
    assert found[2].title.split() == ["a", "b"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"2\tcaf\xe9\tx\tx\tx\tx\t\t\t\n", r"product.csv, line 4: not UTF-8 \(byte 0xe9"),
        (b"\tbed\tx\tx\tx\tx\t\t\t\n", r"product.csv, line 4: found the id ''"),
        (b'"2\0"\tbed\tx\tx\tx\tx\t\t\t\n', r"product.csv, line 4: the id '2\\x00' holds a NUL"),
        (b"2\tbed\rx\tx\tx\tx\tx\t\t\t\n", r"product.csv, line 4: "),
    ],
)
def test_odd_bytes_of_wands_are_named(wands, row, message):
    (wands / "product.csv").write_bytes(PRODUCTS.encode() + row)
    with pytest.raises(InputError, match=message):
        list(DocumentReader(wands))


@pytest.fixture
def esci(tmp_path):
    folder = tmp_path / "shopping_queries_dataset"
    folder.mkdir()
    examples = {
        "example_id": range(6),
        "query": ["red mug", "red mug", "red mug", "red mug", "taza", "old"],
        "query_id": [7, 7, 7, 7, 8, 9],
        "product_id": ["A", "B", "C", "D", "A", "A"],
        "product_locale": ["us", "us", "us", "us", "es", "us"],
        "esci_label": ["E", "S", "C", "I", "E", "E"],
        "small_version": [1, 1, 1, 1, 1, 0],
        "large_version": [1] * 6,
        "split": ["test"] * 6,
    }
    names = ("product_id", "product_title", "product_description", "product_bullet_point")
    rows = [("A", "Mug", "of clay", None, "Acme", "red", "us"), ("A", "Taza", None, None, None, None, "es")]
    pq.write_table(
        pa.table({k: list(v) for k, v in examples.items()}), folder / "shopping_queries_dataset_examples.parquet"
    )
    columns = dict(
        zip((*names, "product_brand", "product_color", "product_locale"), zip(*rows, strict=True), strict=True)
    )
    pq.write_table(
        pa.table({k: list(v) for k, v in columns.items()}), folder / "shopping_queries_dataset_products.parquet"
    )
    return folder


def test_esci_is_a_collection_of_one_locale(esci):
    found = load_collection(esci)
    assert (found.split, found.queries) == ("test", {"7": "red mug"})
    assert found.qrels == {"7": {"A": 100, "B": 10, "C": 1, "D": 0}}
    assert list(DocumentReader([found.path])) == [Document("A", "Mug", "of clay Acme red")]
    assert [one.known and one.known.name for one in find_collections([esci.parent])] == ["esci"]
    spanish = load_collection(esci / "es")
    assert (spanish.queries, spanish.qrels) == ({"8": "taza"}, {"8": {"A": 100}})
    assert list(DocumentReader([spanish.path])) == [Document("A", "Taza", "")]
    with pytest.raises(InputError, match="no examples of split 'train' and locale 'us'"):
        load_collection(esci, "train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"product_id": [None]}, "products.parquet, row 1: found the id None"),
        ({"product_title": [1.5]}, "products.parquet, row 1: the title holds 1.5: wanted text"),
        ({"product_color": [["red"]]}, "products.parquet, row 1: field 'product_color' holds .*: wanted text"),
        ({"product_brand": [b"caf\xe9"]}, "products.parquet, row 1: not UTF-8"),
    ],
)
def test_odd_rows_of_esci_are_named(esci, change, message):
    file = esci / "shopping_queries_dataset_products.parquet"
    pq.write_table(pa.table({**pq.read_table(file).slice(0, 1).to_pydict(), **change}), file)
    with pytest.raises(InputError, match=message):
        list(DocumentReader(esci))


def test_gains_times_100_give_the_ndcg_of_the_gains(esci):
    """nDCG of the ranking S, E, C with gains .1, 1, .01 and the ideal E, S, C, by hand."""
    run = {"7": [("B", 3.0), ("A", 2.0), ("C", 1.0)]}
    discounts = (1, 0.6309297535714575, 0.5)
    dcg = sum(g * d for g, d in zip((0.1, 1, 0.01), discounts, strict=True))
    ideal = sum(g * d for g, d in zip((1, 0.1, 0.01), discounts, strict=True))
    found = evaluate(load_collection(esci).qrels, run, parse_measures(["nDCG@10"]))
    assert found.mean["nDCG@10"] == pytest.approx(dcg / ideal)
