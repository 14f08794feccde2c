"""A catalogue: fields are kept with their types, searches are filtered, sorted and counted by them."""

import json

import pytest

from tests.cli.test_cli import lsr, refused
from tests.conftest import ROOT

CATALOGUE = """sku,name,description,price,in_stock,brand,made
A1,Red mug,A mug of red clay,9.90,true,Acme,2024-01-02
A2,Blue mug,A large blue mug,19.50,false,Bolt,2023-05-01
A3,Green plate,A plate for soup and a mug,4,true,Acme,2022-03-03
A4,Saw,"A saw, no mug",,true,,2021-01-01T10:00:00+02:00
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalogue")
    (folder / "catalogue.csv").write_text(CATALOGUE)
    told = lsr(
        *("index", folder / "catalogue.csv", "--out", folder / "shop", "--encoder", "bm25"),
        *("--id-field", "sku", "--text-fields", "name,description"),
    )
    assert told.returncode == 0, told.stderr
    said = " ".join(told.stderr.split())
    assert "fields: price: float, in_stock: boolean, brand: keyword (2 values), made: datetime" in said
    return folder / "shop"


def test_a_match_in_the_heavier_field_comes_first(tmp_path):
    (tmp_path / "catalogue.csv").write_text("id,name,description\n1,plate,mug\n2,mug,plate\n3,cup,mug or plate mug\n")
    made = ("index", tmp_path / "catalogue.csv", "--out", tmp_path / "shop", "--encoder", "bm25")
    assert lsr(*made, "--text-fields", "name,description^0.5").returncode == 0
    assert [hit["id"] for hit in found(tmp_path / "shop")["hits"]] == ["2", "3", "1"]
    assert "0 changed, 0 fields only, 0 gone, 3 unchanged" in lsr("sync", made[1], "--to", tmp_path / "shop").stdout
    (tmp_path / "prices.csv").write_text("id,name,description,price\n1,plate,mug,7\n")
    assert lsr("update", tmp_path / "shop", "--from", tmp_path / "prices.csv").stdout.startswith("1 updated")
    assert lsr(*made, "--text-field", "description", "--text-field", "name^0.5").returncode == 0
    assert [hit["id"] for hit in found(tmp_path / "shop")["hits"]] == ["3", "1", "2"]
    assert "text.parts" not in lsr("info", tmp_path / "shop").stdout
    refused(lsr(*made, "--text-fields", "name,description^x"), "text field 'description^x': wanted NAME or NAME^WEIGHT")


def found(index, *options):
    result = lsr("search", index, "mug", "--json", *options)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_hits_carry_their_fields(index):
    hits = {hit["id"]: hit["fields"] for hit in found(index)["hits"]}
    assert hits["A1"] == {"price": 9.9, "in_stock": True, "brand": "Acme", "made": "2024-01-02T00:00:00Z"}
    assert hits["A4"] == {"in_stock": True, "made": "2021-01-01T08:00:00Z"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("price < 10", {"A1", "A3"}),
        ("price < 10 and brand = Acme and not made < 2023-01-01", {"A1"}),
        ("in_stock", {"A1", "A3", "A4"}),
        ("not brand exists", {"A4"}),
        ("brand in ['Bolt', 'Nobody'] or made < now-1000y", {"A2"}),
    ],
)
def test_a_filter_leaves_the_documents_that_meet_it(index, text, wanted):
    assert {hit["id"] for hit in found(index, "--filter", text)["hits"]} == wanted


@pytest.mark.parametrize(
    ("sort", "wanted"), [("price", "A3 A1 A2 A4"), ("-price", "A2 A1 A3 A4"), ("made", "A4 A3 A2 A1"), ("brand", None)]
)
def test_hits_are_sorted_by_a_field(index, sort, wanted):
    ids = [hit["id"] for hit in found(index, "--sort", sort)["hits"]]
    assert ids == wanted.split() if wanted else (set(ids[:2]), ids[2:]) == ({"A1", "A3"}, ["A2", "A4"])


def test_facets_count_what_was_found(index):
    brand, price, stock = found(index, "--facets", "brand,price,in_stock", "--filter", "in_stock")["facets"]
    assert (brand["counts"], brand["missing"]) == ([{"value": "Acme", "documents": 2}], 1)
    assert [price["ranges"][0]["low"], price["ranges"][-1]["high"], price["missing"]] == [4.0, 9.9, 1]
    assert stock["counts"] == [{"value": True, "documents": 3}]
    shown = lsr("search", index, "mug", "--facets", "brand")
    assert "brand  Acme (2), Bolt (1); without: 1" in shown.stdout


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--filter", "colour = red"], "asks for the field 'colour': the index has brand: keyword, "),
        (["--filter", "price <"], "character 8: found the end, wanted a value"),
        (["--filter", "price < cheap"], "compares 'price' with 'cheap': the field is float"),
        (["--sort", "colour"], "no field 'colour': the index has brand, in_stock, made, price"),
        (["--facets", "colour"], "no field 'colour'"),
    ],
)
def test_what_does_not_fit_the_fields_is_one_line(index, options, match):
    refused(lsr("search", index, "mug", *options), match)


def test_declared_types_are_checked(tmp_path):
    (tmp_path / "c.csv").write_text(CATALOGUE)
    command = ["index", tmp_path / "c.csv", "--out", tmp_path / "x", "--encoder", "bm25", "--id-field", "sku"]
    command += ["--text-fields", "name"]
    refused(
        lsr(*command, "--field", "brand:float"), "document 'A1', field 'brand': found 'Acme', wanted a finite number"
    )
    refused(lsr(*command, "--field", "brand:money"), "wanted NAME:TYPE, the type one of boolean, integer, ")
    done = lsr(*command, "--field", "price:keyword", "--store", "price,brand")
    assert "fields: price: keyword (3 values), brand: keyword (2 values)" in " ".join(done.stderr.split())
    done = lsr(*command, "--store", "none")
    assert "fields:" not in done.stderr.replace("ignored fields:", "")


def test_nested_json_is_kept_with_dots(tmp_path):
    lines = [
        {
            "id": "a",
            "text": "red mug",
            "maker": {"name": "Acme", "since": 1990},
            "tags": ["new", "red"],
            "extra": [1, 2],
        },
        {"id": "b", "text": "blue mug", "maker": {"name": "Bolt", "since": 2001.5}, "tags": "old"},
    ]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = lsr("index", tmp_path / "c.jsonl", "--out", tmp_path / "x", "--encoder", "bm25")
    said = " ".join(told.stderr.split())
    assert "maker.name: keyword (2 values), maker.since: float, tags: keywords (3 values), extra: json" in said
    hits = found(tmp_path / "x", "--filter", 'tags = "red" and maker.since < 2000')["hits"]
    assert [hit["fields"] for hit in hits] == [
        {"maker.name": "Acme", "maker.since": 1990.0, "tags": ["new", "red"], "extra": [1, 2]}
    ]
    refused(lsr("search", tmp_path / "x", "mug", "--filter", "extra = 1"), "stored only")


def test_pages_of_hits_follow_each_other(index):
    ids = [hit["id"] for hit in found(index)["hits"]]
    pages = [found(index, "-k", "2", "--offset", str(start))["hits"] for start in (0, 2, 4)]
    assert [hit["id"] for page in pages for hit in page] == ids
    prices = [
        hit["id"] for start in (0, 2) for hit in found(index, "-k", 2, "--offset", start, "--sort", "price")["hits"]
    ]
    assert prices == ["A3", "A1", "A2", "A4"]
    shown = lsr("search", index, "mug", "-k", "1", "--offset", "1")
    assert shown.stdout.lstrip().startswith("2  ")


def test_info_says_what_an_index_holds(index):
    values = json.loads(lsr("info", index, "--json").stdout)
    assert {name: values[name] for name in ("documents", "deleted", "segments", "generation", "reclaimable_bytes")} == {
        "documents": 4,
        "deleted": 0,
        "segments": 1,
        "generation": 1,
        "reclaimable_bytes": 0,
    }
    assert values["fields"] == {"price": "float", "in_stock": "boolean", "brand": "keyword", "made": "datetime"}
    files = [path for path in index.rglob("*") if path.is_file() and path.name != ".lock"]
    assert values["bytes"] == sum(path.stat().st_size for path in files)
    told = lsr("info", index).stdout
    assert "price: float, in_stock: boolean, brand: keyword, made: datetime" in " ".join(told.split())
    refused(lsr("info", index / "nothing"), "no such index")


def test_dense_vectors_are_declared_shown_by_get_and_left_out_of_hits(tmp_path):
    records = [{"id": name, "text": f"{name} mug", "embedding": [at, 0.5]} for at, name in enumerate("abc")]
    source = tmp_path / "mugs.jsonl"
    source.write_text("".join(json.dumps(one) + "\n" for one in records))
    index = tmp_path / "index"
    told = lsr("index", source, "--out", index, "--encoder", "bm25", "--field", "embedding:vector")
    assert told.returncode == 0, told.stderr
    assert "fields: embedding: vector(2)" in told.stderr
    got = lsr("get", index, "b", "--json")
    assert json.loads(got.stdout)["fields"] == {"embedding": [1.0, 0.5]}
    assert all(hit["fields"] == {} for hit in found(index)["hits"])
    source.write_text('{"id": "a", "text": "a mug", "embedding": [1]}\n')
    refused(lsr("upsert", source, "--to", index), "document 'a', field 'embedding'", "vector(2)")


def test_evaluation_ranks_documents_and_not_their_passages(tmp_path):
    assert (
        lsr(
            "index", ROOT / "data" / "sample", "--out", tmp_path / "p", "--encoder", "bm25", "--passages", "40"
        ).returncode
        == 0
    )
    run = tmp_path / "p.run"
    assert lsr("eval", ROOT / "data" / "sample", "--index", tmp_path / "p", "--run", run).returncode == 0
    pairs = [tuple(line.split()[:3:2]) for line in run.read_text().splitlines()]
    assert len(pairs) == len(set(pairs)) > 0


def test_words_with_leading_zeros_are_keywords_in_filters(tmp_path):
    (tmp_path / "c.csv").write_text("id,text,zip\n1,red mug,00123\n2,blue mug,12345\n")
    assert lsr("index", tmp_path / "c.csv", "--out", tmp_path / "c", "--encoder", "bm25").returncode == 0
    for asked, wanted in (("zip = 00123", ["1"]), ("zip = 12345", ["2"])):
        out = lsr("search", tmp_path / "c", "mug", "--filter", asked, "--json").stdout
        assert [hit["id"] for hit in json.loads(out)["hits"]] == wanted


def test_texts_are_not_added_to_given_vectors(tmp_path):
    (tmp_path / "v.jsonl").write_text('{"id": "1", "contents": "a", "vector": {"tooth": 3}}\n')
    assert lsr("index", tmp_path / "v.jsonl", "--vectors", "auto", "--out", tmp_path / "v").returncode == 0
    for verb in ("add", "upsert", "sync"):
        refused = lsr(verb, tmp_path / "v.jsonl", "--to", tmp_path / "v")
        assert refused.returncode == 2
        assert "holds vectors that were given" in refused.stderr
