"""Commands that change an index: what they say at 80 columns, what they write, and what they refuse."""

import gzip
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lsr.encoders.lexical.bm25 import BM25Encoder
from lsr.index.storage.records import VERSION
from lsr.retrieval import Collection
from tests.conftest import ROOT
from tests.pages import captured, run_lsr

CATALOGUE = """sku,name,description,brand,price,stock,added
D1,Drill,Makes holes in brick and masonry,Korvo,129.00,14,2024-03-01
H1,Hammer,Drives nails and pulls them out,Korvo,18.50,0,2022-05-14
T1,Torch,Lamp for caves at night,Ando,34.00,7,2023-09-30
L1,Lantern,Lamp for a tent,,27.50,3,2023-04-18
"""
NAMED = "--id-field", "sku", "--title-field", "name", "--text-fields", "description"
COLUMNS = 80


class Said(tuple[Any, ...]):
    """Exit code and everything that was printed."""

    @property
    def text(self):
        return self[1]

    @property
    def json(self):
        return json.loads(self.text.splitlines()[-1])

    @property
    def error(self):
        """The one line of an error, of a command that was refused."""
        lines = [line for line in self.text.splitlines() if line.startswith("error: ")]
        assert (self[0], len(lines)) == (2, 1), self.text
        assert "Traceback" not in self.text
        return lines[0]


def lsr(*words):
    with captured() as output:
        code = run_lsr(["lsr", *map(str, words)])
    return Said((code, output.getvalue().decode()))


def done(*words):
    said = lsr(*words)
    assert said[0] == 0, said.text
    return said


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("changing")
    (folder / "catalogue.csv").write_text(CATALOGUE)
    done("index", folder / "catalogue.csv", "--out", folder / "shop", "--encoder", "bm25", *NAMED)
    return folder


@pytest.fixture
def shop(made, tmp_path):
    """An index of the catalogue, which lies beside it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "shop"


@pytest.fixture
def catalogue(shop):
    return shop.parent / "catalogue.csv"


@pytest.fixture
def encoded(monkeypatch):
    """Texts that the encoder is given."""
    texts: list[str] = []
    whole = BM25Encoder.encoded_with

    def watched(self, own, counts):
        texts.extend(own)
        return whole(self, own, counts)

    monkeypatch.setattr(BM25Encoder, "encoded_with", watched)
    return texts


def write(folder, name, *lines):
    path = folder.parent / name
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def product(sku, text, **fields):
    return {"sku": sku, "name": sku, "description": text, **fields}


def prices(shop):
    with Collection.open(shop) as found:
        return {document.id: document.fields.get("price") for document in found}


# Documents


def test_add_takes_new_ids_and_refuses_known_ones(shop, encoded):
    more = write(shop, "more.jsonl", product("S1", "A saw for wood", price=12))
    assert done("add", more, "--to", shop).text.splitlines()[-1] == "1 added"
    assert encoded == ["S1 A saw for wood"]
    assert lsr("add", more, "--to", shop).error == (
        "error: the id 'S1' is there already: use upsert to replace its document"
    )


def test_upsert_replaces_documents_and_encodes_only_new_texts(shop, catalogue, encoded):
    catalogue.write_text(CATALOGUE.replace("129.00", "119.00").replace("a tent", "a tent or a table"))
    assert done("upsert", catalogue, "--to", shop).text.splitlines()[-1] == "1 changed, 1 updated, 2 unchanged"
    assert encoded == ["Lantern Lamp for a tent or a table"]
    assert done("upsert", catalogue, "--to", shop, "--json").json == {
        "added": 0,
        "changed": 0,
        "fields": 0,
        "deleted": 0,
        "unchanged": 4,
    }


def test_update_sets_and_removes_fields_and_encodes_nothing(shop, encoded):
    assert (
        done("update", shop, "--id", "T1", "--id", "L1", "--set", "price=9.5", "--set", "stock=").text == "2 updated\n"
    )
    assert done("get", shop, "T1", "--json").json["fields"] == {
        "brand": "Ando",
        "price": 9.5,
        "added": "2023-09-30T00:00:00Z",
    }
    assert done("update", shop, "--id", "T1", "--set", "price=9.5").text == "1 unchanged\n"
    assert encoded == []


def test_update_takes_a_file_of_fields(shop, encoded):
    file = write(shop, "prices.csv", "sku,price", "D1,99.5", "H1,18.50")
    assert done("update", shop, "--from", file, "--json").json["fields"] == 1
    assert prices(shop) == {"D1": 99.5, "H1": 18.5, "T1": 34.0, "L1": 27.5}
    whole = write(shop, "whole.csv", CATALOGUE.replace("99.5", "1").strip())
    assert done("update", shop, "--from", whole, "--json").json["fields"] == 1
    assert "description" not in done("info", shop, "--json").json["fields"]
    assert encoded == []


def test_update_may_add_a_field(shop):
    done("update", shop, "--id", "T1", "--set", "sale=true", "--set", 'tags=["new", "blue"]')
    fields = done("info", shop, "--json").json["fields"]
    assert (fields["sale"], fields["tags"]) == ("boolean", "keywords")
    hits = done("search", shop, "lamp", "--filter", "sale and tags = blue", "--json").json["hits"]
    assert [hit["id"] for hit in hits] == ["T1"]


def test_delete_takes_ids_or_a_filter(shop):
    assert done("delete", shop, "--filter", "stock = 0", "--dry-run").text == "dry run: 1 deleted\n"
    assert done("delete", shop, "--filter", "stock = 0").text == "1 deleted\n"
    assert done("delete", shop, "--id", "T1", "--id", "nobody", "--json").json["deleted"] == 1
    assert done("delete", shop, "--id", "T1").text == "nothing changed\n"
    assert set(prices(shop)) == {"D1", "L1"}


def test_get_shows_documents_within_the_screen(shop):
    done("upsert", write(shop, "long.jsonl", product("X1", "a long text " * 40, tags=["a", "b"])), "--to", shop)
    text = done("get", shop, "X1", "L1").text
    assert max(map(len, text.splitlines())) <= COLUMNS
    assert 'tags   ["a","b"]' in text
    assert [line.split() for line in text.splitlines()][-1] == ["added", "2023-04-18T00:00:00Z"]
    assert "brand" not in text


# Sync


def test_sync_makes_an_index_what_its_source_says(shop, catalogue, encoded):
    lines = CATALOGUE.replace("129.00", "119.00").replace("at night", "by night").splitlines()
    catalogue.write_text("\n".join([*lines[:4], "S1,Saw,A saw for wood,,12,1,"]))
    wanted = "+1 added, 1 changed, 1 fields only, 1 gone, 1 unchanged"
    assert done("sync", catalogue, "--to", shop, "--dry-run").text.splitlines()[-1] == f"dry run: {wanted}"
    assert encoded == []
    assert done("sync", catalogue, "--to", shop).text.splitlines()[-1] == wanted
    assert sorted(encoded) == ["Saw A saw for wood", "Torch Lamp for caves by night"]
    assert prices(shop) == {"D1": 119.0, "H1": 18.5, "T1": 34.0, "S1": 12.0}


def test_a_dry_run_changes_nothing(shop, catalogue):
    before = {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()}
    catalogue.write_text(CATALOGUE.replace("Lamp", "Light"))
    said = done("sync", catalogue, "--to", shop, "--dry-run", "--json")
    assert said.json == {"added": 0, "changed": 2, "fields": 0, "deleted": 0, "unchanged": 2, "dry_run": True}
    assert {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()} == before


def test_a_sync_of_what_is_there_encodes_and_writes_nothing(shop, catalogue, encoded):
    assert (
        done("sync", catalogue, "--to", shop).text.splitlines()[-1]
        == "+0 added, 0 changed, 0 fields only, 0 gone, 4 unchanged"
    )
    assert encoded == []
    assert done("info", shop, "--json").json["generation"] == 1


def test_a_source_without_documents_deletes_nothing(shop, catalogue):
    catalogue.write_text(CATALOGUE.splitlines()[0] + "\n")
    assert (
        "the source is empty, and syncing to it would delete everything" in lsr("sync", catalogue, "--to", shop).error
    )
    assert len(prices(shop)) == 4


def test_a_source_that_ends_early_deletes_nothing(shop):
    whole = gzip.compress(CATALOGUE.replace("129.00", "1.00").encode())
    cut = shop.parent / "cut.csv.gz"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    assert "cut.csv.gz: damaged after line" in lsr("sync", cut, "--to", shop).error
    assert len(prices(shop)) == 4


def test_an_id_that_comes_twice_is_refused(shop, catalogue):
    catalogue.write_text(CATALOGUE + CATALOGUE.splitlines()[1] + "\n")
    assert "'D1'" in lsr("sync", catalogue, "--to", shop).error
    assert prices(shop)["D1"] == 129.0


# History and copies


def test_history_lists_what_a_rollback_goes_back_to(shop):
    done("update", shop, "--id", "T1", "--set", "price=1")
    done("delete", shop, "--id", "D1")
    lines = done("history", shop).text.splitlines()
    assert lines[0].split() == ["generation", "made", "by", "documents"]
    assert [line.split()[2:] for line in lines[1:]] == [
        ["index", "4", "added"],
        ["update", "1", "updated"],
        ["delete", "1", "deleted"],
    ]
    listed = done("history", shop, "--json").json["generations"]
    assert [(one["generation"], one["verb"]) for one in listed] == [(1, "index"), (2, "update"), (3, "delete")]
    assert done("rollback", shop, 1).text == "1 added, 1 updated\n"
    assert prices(shop) == {"D1": 129.0, "H1": 18.5, "T1": 34.0, "L1": 27.5}
    assert done("rollback", shop, 3, "--json").json["deleted"] == 1
    assert lsr("rollback", shop, 99).error == f"error: no generation 99: {shop} keeps 1 to 5 (lsr history)"


def test_a_search_may_ask_an_earlier_generation(shop):
    done("delete", shop, "--id", "T1")
    asked = "search", shop, "caves", "--json"
    assert done(*asked).json["hits"] == []
    assert [hit["id"] for hit in done(*asked, "--generation", 1).json["hits"]] == ["T1"]
    assert "no generation 7" in lsr(*asked, "--generation", 7).error


def test_a_snapshot_comes_back_as_an_index(shop):
    copy, back = shop.parent / "monday", shop.parent / "back"
    assert done("snapshot", shop, "--to", copy).text == f"{copy}: 4 documents of generation 1\n"
    done("delete", shop, "--id", "T1")
    assert done("restore", copy, "--to", back).text == f"{back}: 4 documents of generation 1\n"
    assert set(prices(back)) == {"D1", "H1", "T1", "L1"}
    for words in (("restore", copy, "--to", shop), ("snapshot", shop, "--to", copy)):
        assert lsr(*words).error.endswith("is there already, and not empty: name a new folder")
    assert "no such index" in lsr("restore", shop.parent / "nothing", "--to", shop.parent / "new").error
    assert not (shop.parent / "new").exists()


def test_a_damaged_snapshot_is_not_restored(shop):
    copy, back = shop.parent / "monday", shop.parent / "back"
    done("snapshot", shop, "--to", copy)
    file = next(copy.rglob("vectors.weights.npy"))
    whole = file.read_bytes()
    file.unlink()  # the index has the same file
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert file.name in lsr("restore", copy, "--to", back).error
    assert not back.exists()
    assert "all checksums right" in done("check", shop).text


def test_compact_gives_the_room_of_deleted_documents_back(shop):
    done("delete", shop, "--filter", "price < 100")
    before = done("info", shop, "--json").json
    assert (before["deleted"], before["reclaimable_bytes"] > 0) == (3, True)
    assert " before, " in done("compact", shop).text
    after = done("info", shop, "--json").json
    assert [after[name] for name in ("documents", "deleted", "reclaimable_bytes")] == [1, 0, 0]
    assert len(done("history", shop, "--json").json["generations"]) == 1


def test_an_index_of_format_2_is_upgraded(tmp_path):
    old = tmp_path / "old"
    shutil.copytree(ROOT / "tests" / "index" / "format-2" / "windowed", old)
    assert done("info", old, "--json").json["format"] == 2
    assert "run lsr upgrade" in lsr("snapshot", old, "--to", tmp_path / "copy").error
    assert done("upgrade", old).text == f"{old} has format 3 now\n"
    assert done("upgrade", old).text == f"{old} had format 3 already\n"
    assert done("info", old, "--json").json["format"] == 3


# Refusals


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["get", "SHOP", "nobody"], "no document with the id 'nobody'"),
        (["update", "SHOP", "--id", "nobody", "--set", "price=1"], "no document with the id 'nobody': add it first"),
        (["update", "SHOP", "--id", "T1", "--set", "price"], "--set 'price': wanted NAME=VALUE, as price=9.5"),
        (["update", "SHOP", "--set", "price=1"], "wants --id and --set, or --from FILE: give one of them"),
        (["update", "SHOP", "--id", "T1", "--from", "f.csv"], "wants --id and --set, or --from FILE"),
        (["update", "SHOP", "--id", "T1", "--set", "name=Lamp"], "'name' is its id, title or text: use upsert"),
        (["delete", "SHOP"], "wants --id or --filter: give one of them"),
        (["delete", "SHOP", "--id", "T1", "--filter", "stock = 0"], "wants --id or --filter"),
        (["delete", "SHOP", "--filter", "colour = red"], "asks for the field 'colour': the index has added: datetime"),
        (["delete", "SHOP", "--filter", "price <"], "character 8: found the end, wanted a value; as in price < 20"),
        (["delete", "SHOP", "--filter", "price = cheap"], "compares 'price' with 'cheap': the field is float"),
        (["add", "missing.csv", "--to", "SHOP"], "no such file or folder: missing.csv"),
        (["compact", "nowhere"], "no such index: nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_line(shop, words, match):
    assert match in lsr(*(shop if word == "SHOP" else word for word in words)).error


@pytest.mark.parametrize(
    ("name", "value", "found", "other"),
    [
        ("price", "cheap", "found 'cheap', wanted a finite number (float)", "keyword"),
        ("stock", 2.5, "found 2.5, wanted a whole number of 64 bits (integer)", "float"),
        ("brand", ["a"], "found ['a'], wanted a text of at most 512 characters (keyword)", "keywords"),
        ("added", "soon", "found 'soon', wanted a time in ISO 8601, as 2024-05-01 or ", "keyword"),
    ],
)
def test_a_type_stays_and_the_message_says_the_way_out(shop, name, value, found, other):
    start = f"error: document 'T1', field '{name}': {found}"
    end = f"; correct the value, or index everything again with --field {name}:{other}"
    file = write(shop, "wrong.jsonl", product("T1", "A lamp", **{name: value}))
    sets = value if isinstance(value, str) else json.dumps(value)
    for words in (
        ("update", shop, "--id", "T1", "--set", f"{name}={sets}"),
        ("upsert", file, "--to", shop),
        ("sync", file, "--to", shop),
    ):
        said = lsr(*words).error
        assert said.startswith(start)
        assert said.endswith(end)
    assert prices(shop)["T1"] == 34.0


def test_a_search_says_why_it_found_nothing(shop):
    assert (
        "no document with a term of the query 'lamp' meets the filter"
        in done("search", shop, "lamp", "--filter", "price > 1000").text
    )
    assert "no hits after the first 5: the query 'lamp' has 2" in done("search", shop, "lamp", "--offset", 5).text
    assert "brand  no values" in done("search", shop, "lamp", "--filter", "price > 1000", "--facets", "brand").text


def test_a_second_writer_is_refused_and_readers_go_on(shop, catalogue):
    with Collection.open(shop) as writer:
        writer.update({"T1": {"price": 1.0}})
        words = ["sync", str(catalogue), "--to", str(shop)]
        command = [sys.executable, "-c", "from lsr.cli import main; main()", *words]
        other = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert other.returncode == 2
        assert "another process is writing to" in other.stderr
        assert "(pid " in other.stderr
        assert done("get", shop, "T1", "--json").json["fields"]["price"] == 1.0
    assert done("sync", catalogue, "--to", shop).text.splitlines()[-1].endswith("1 fields only, 0 gone, 3 unchanged")


def test_an_index_of_a_newer_format_is_left_alone(shop):
    with Collection.open(shop) as found:
        found.store.change_about(msgspec.structs.replace(found.about, version=9), "index")
    for words in (("info", shop), ("update", shop, "--id", "T1", "--set", "price=1")):
        said = lsr(*words).error
        assert f"has collection format 9, this lsr reads format {VERSION}: use the lsr version that wrote it" in said


def test_a_folder_that_cannot_be_written_is_searched_only(made, as_nobody):
    with tempfile.TemporaryDirectory() as folder:  # where another user may look
        shop = shutil.copytree(made / "shop", Path(folder, "shop"))
        for path in (shop.parent, shop, *shop.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        check_read_only(shop, as_nobody)


def check_read_only(shop, as_nobody):
    def other(*words):
        command = [*as_nobody, sys.executable, "-c", "from lsr.cli import main; main()", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)

    found = other("search", shop, "caves", "--json")
    assert '"id":"T1"' in found.stdout, found.stderr
    refused = other("update", shop, "--id", "T1", "--set", "price=1")
    assert refused.returncode == 2
    assert "Permission denied" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_messages_of_results_fit_the_screen(shop):
    done("update", shop, "--id", "T1", "--set", "price=1")
    for words in (("info", shop), ("history", shop), ("get", shop, "T1"), ("check", shop), ("compact", shop)):
        text = done(*words).text
        own = [line for line in text.splitlines() if str(shop) not in line]
        assert max(map(len, own)) <= COLUMNS, text
