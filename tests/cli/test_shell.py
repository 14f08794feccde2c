"""What a shell meets: odd streams, locales, names and screens, words that are missing."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from typer.testing import CliRunner

import lsr
from lsr.cli.app import app, command_names
from lsr.cli.commands import COMMANDS
from lsr.cli.console import HARMLESS, _Screen, harmless
from lsr.corpus import Document
from lsr.encoders import load
from lsr.errors import InputError, LsrError, MissingExtraError, how_to_install
from lsr.retrieval import Searcher, index_documents

ESCAPES = "\x1b]0;title\x07\x1b[2J"


def run(*arguments, shell=None, **environment):
    """lsr as a process; ``shell`` puts it into a line of bash, in place of LSR."""
    command = [sys.executable, "-m", "lsr", *map(os.fspath, arguments)]
    if shell:
        command = ["bash", "-c", shell.replace("LSR", " ".join(f"'{part}'" for part in command))]
    found = subprocess.run(command, capture_output=True, timeout=120, env={**os.environ, **environment}, check=False)
    output, error = found.stdout.decode("utf-8", "replace"), found.stderr.decode("utf-8", "replace")
    assert "Traceback" not in error, error
    return found.returncode, output, error


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """An index whose folder and documents have names that mean something to a terminal."""
    folder = tmp_path_factory.mktemp("odd") / "ix[/x] :bee: [red]"
    texts = [
        "bees [/b] honey :bee: [link=x]",
        f"bees {ESCAPES} dance \u202eevil",
        "bees 蜜蜂はダンスで花を教える",
        "café",
    ]
    documents = [Document(f"d[{i}]{ESCAPES}", f"[bold]{text[:12]}", text) for i, text in enumerate(texts)]
    index_documents(documents, load("bm25"), folder)
    return folder


STREAMS = {  # a line of bash, exit code
    "a reader that leaves": ("LSR search '{odd}' bees | true; exit ${{PIPESTATUS[0]}}", 0),
    "a reader of JSON that leaves": ("LSR search '{odd}' bees --json | true; exit ${{PIPESTATUS[0]}}", 0),
    "a reader of help that leaves": ("LSR --help | true; exit ${{PIPESTATUS[0]}}", 0),
    "a reader of a list that leaves": ("LSR encoders list | head -1 >&2; exit ${{PIPESTATUS[0]}}", 0),
    "no standard output": ("LSR search '{odd}' bees >&-", 0),
    "no standard output for JSON": ("LSR search '{odd}' bees --json >&-", 0),
    "no standard error": ("LSR search '{odd}' bees 2>&-", 0),
    "no standard input": ("LSR index - --out '{odd}-2' --encoder bm25 <&-", 2),
    "no stream at all": ("LSR search '{odd}' bees <&- >&- 2>&-", 0),
    "no stream and a fault": ("LSR search nowhere bees <&- >&- 2>&-", 2),
}


@pytest.mark.parametrize(("line", "code"), STREAMS.values(), ids=STREAMS)
def test_streams_of_any_kind_are_enough(odd, line, code):
    found, _, error = run(shell=line.format(odd=odd))
    assert found == code, error


ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("environment", [ASCII, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "utf-16"}])
def test_any_encoding_of_the_screen_is_enough(odd, environment):
    code, _, _ = run("search", odd, "蜜蜂", "--explain", **environment)
    assert code == 0
    code, output, _ = run("search", odd, "ダンス", "--json", **environment)
    assert code == 0
    assert json.loads(output)["hits"][0]["text"] == "bees 蜜蜂はダンスで花を教える"


def test_bytes_that_are_no_text_are_asked_for_as_such(odd):
    for option in ("--json", "--explain"):
        code, output, _ = run("search", odd, b"caf\xe9 bees", option)
        assert code == 0
        assert "bees" in output
    code, _, error = run("search", b"no\xe9where", "bees")
    assert code == 2
    assert error.count("\n") == 1


def test_nothing_in_a_document_steers_the_terminal(odd):
    code, output, _ = run("search", odd, "bees dance", "--explain")
    assert code == 0
    assert not set(HARMLESS) & set(map(ord, output))
    assert "␛]0;title" in output
    code, output, _ = run("search", odd, "dance", "--json")
    assert json.loads(output)["hits"][0]["id"] == f"d[1]{ESCAPES}"


def test_no_name_looks_like_another_hit(tmp_path):
    name = "x\n 1  Official  99.0"
    index_documents([Document(name, "", "cats"), Document("y", name, "cats")], load("bm25"), tmp_path / "index")
    _, output, _ = run("search", tmp_path / "index", "cats")
    assert len([line for line in output.splitlines() if line.startswith(" 1  ")]) == 1
    assert output.count("x␊ 1  Official") == 2


def test_brackets_and_colons_in_names_are_shown_as_they_are(odd, tmp_path):
    _, output, _ = run("search", odd, "[/b] honey", "--explain")
    assert "[/b]" in output
    assert ":bee:" in output
    (tmp_path / "two.jsonl").write_text('{"id": "1", "text": "bees"}\n')
    name = "ix[/x] ix[red]q ix:bee:q"
    code, output, _ = run("index", tmp_path / "two.jsonl", "--out", tmp_path / name, "--encoder", "bm25")
    assert code == 0
    assert name in output
    code, _, error = run("search", tmp_path / "[/nothing]:bee:", "bees")
    assert code == 2
    assert "[/nothing]:bee:" in error


@given(st.text())
def test_what_is_shown_steers_nothing(text):
    shown = harmless(text)
    assert not set(map(ord, shown)) & set(HARMLESS)
    assert len(shown) == len(text)
    screen = _Screen(record=True, file=open(os.devnull, "w"), width=200)  # noqa: SIM115, PTH123
    table = Table("column")
    table.add_row(text)
    screen.print(table)
    screen.print(text)
    assert not set(map(ord, screen.export_text())) & set(HARMLESS)
    screen.file.close()


@pytest.mark.parametrize("columns", ["0", "40", "", "abc", "80"])
def test_a_screen_of_any_width_shows_hits(odd, columns):
    code, output, _ = run("search", odd, "bees", "--explain", COLUMNS=columns)
    assert code == 0
    assert "bees" in output
    assert "…" not in output.partition("share")[2].partition("\n\n")[0].replace(" …", "")


def test_several_words_are_one_query(odd):
    assert run("search", odd, "bees", "honey")[1] == run("search", odd, "bees honey")[1] != ""


def test_every_way_to_start_is_the_same(odd):
    command = [sys.executable, "-m", "lsr.cli", "--version"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == run("--version")[1] == f"lsr {lsr.__version__}\n"


def test_an_interrupt_ends_without_a_word(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "lsr", "index", "-", "--out", tmp_path / "x", "--encoder", "bm25"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stderr
        process.stdin.write(b'{"id": "1", "text": "bees"}\n')
        process.stdin.flush()
        time.sleep(2.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert b"Traceback" not in process.stderr.read()


def test_a_fault_of_the_input_leaves_no_bars(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"id": "1", "text": "bees"}\n{"id": "2", "te\n')
    code, _, error = run("index", tmp_path / "bad.jsonl", "--out", tmp_path / "x", "--encoder", "bm25")
    assert code == 2
    assert [line for line in error.splitlines() if line.strip() and not line.startswith("compiling")] == [
        line for line in error.splitlines() if line.startswith("error: ")
    ]


BLOCKED = "import sys; sys.modules['{}'] = None; sys.argv = {}; from lsr.cli import main; main()"


@pytest.mark.parametrize(
    ("words", "package", "extra"),
    [
        (["adapt", "x.jsonl", "--out", "x"], "torch", "torch"),
        (["train", "splade", "--model", "m", "--data", "d", "--dev", "d", "--out", "o"], "torch", "torch"),
        (["eval", "irds:vaswani"], "ir_datasets", "irds"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_command(words, package, extra):
    code = BLOCKED.format(package, ["lsr", *words])
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 2, found.stderr
    assert "Traceback" not in found.stderr
    assert f"needs the package '{package}': run pip install " in found.stderr
    assert f"[{extra}]" in found.stderr


def test_recipes_are_listed_without_torch():
    code = BLOCKED.format("torch", ["lsr", "train", "list"])
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "| idf-flops" in found.stdout


ORIGINS = {
    '{"url": "file:///a%20b/lsr", "dir_info": {"editable": true}}': "pip install -e '/a b/lsr[torch]'",
    '{"url": "file:///src/lsr", "dir_info": {}}': "pip install '/src/lsr[torch]'",
    '{"url": "https://x.example/lsr.whl", "archive_info": {}}': "pip install 'lsr-engine[torch] @ https://x.example/lsr.whl'",
    None: "pip install '.[torch]' in a clone of lsr",
}


@pytest.mark.parametrize(("origin", "command"), ORIGINS.items())
def test_the_hint_names_where_lsr_came_from(origin, command, monkeypatch):
    class Installed:
        def read_text(self, name):
            return origin if name == "direct_url.json" else None

    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Installed())
    assert how_to_install("torch") == command
    assert command in str(MissingExtraError("torch", "torch", "this"))


def test_no_hint_names_a_package_that_no_registry_serves():
    from tests.conftest import ROOT

    for folder in ("lsr", "docs", "benchmarks"):
        for path in (ROOT / folder).rglob("*.[pm][yd]"):
            if path.name not in ("errors.py", "LOG.md"):
                assert "install 'lsr-engine" not in path.read_text(), path


@pytest.mark.parametrize("words", [[], *([name] for name in command_names())])
def test_help_fits_a_terminal_and_names_no_types(words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    found = CliRunner().invoke(app, [*words, "--help"])
    assert found.exit_code == 0
    assert "Example: lsr" in found.output
    assert max(map(len, found.output.splitlines())) <= 80
    assert "<bool>" not in found.output
    assert "list[" not in found.output


def test_commands_stand_in_groups_by_task():
    output = CliRunner().invoke(app, ["--help"]).output
    titles = ["Index and search", "Encoders and vectors", "Evaluate", "Train"]
    assert all(f"─ {title} ─" in output for title in titles)
    assert "─ Commands ─" not in output


def test_what_comes_with_lsr_leads_the_list_of_encoders():
    lines = CliRunner().invoke(app, ["encoders", "list"]).output.splitlines()
    assert lines[0].split()[0] == "default"
    assert "weights are part of lsr" in lines[1]
    assert lines[2].split()[0] == "bm25"


def test_the_options_that_training_needs_say_so():
    output = CliRunner().invoke(app, ["train", "--help"]).output
    assert output.count("[required]") == 5


def test_the_public_names_show_themselves(odd):
    assert set(lsr.__all__) == set(dir(lsr))
    searcher = Searcher.open(odd)
    assert repr(searcher) == f"<Searcher of {searcher.generation!r}>"
    assert repr(searcher.generation) == f"<Generation 1 of {str(odd)!r}, 4 documents>"
    with lsr.Collection.open(odd) as collection:
        assert repr(collection) == f"<Collection {str(odd)!r}, 4 documents, encoder 'bm25'>"
    assert repr(searcher.encoder) == "<BM25Encoder 'bm25', learned from a corpus>"


@pytest.mark.parametrize("query", [["bees"], 5, None, b"bees"])
def test_a_query_that_is_none_is_refused(odd, query):
    searcher = Searcher.open(odd)
    with pytest.raises(InputError, match="wanted a str or the vector of one query"):
        searcher.search(query)


MISUSES = {
    "k in words": lambda searcher, hit: searcher.search("bees", k="3"),
    "half a k": lambda searcher, hit: searcher.search("bees", k=1.5),
    "a list to encode": lambda searcher, hit: searcher.encode(["bees"]),
    "an id to explain": lambda searcher, hit: searcher.explain("bees", hit.id),
    "an id for a snippet": lambda searcher, hit: searcher.snippet("bees", hit.id),
    "no documents": lambda searcher, hit: index_documents(None, load("bm25"), "nowhere"),
    "no encoder": lambda searcher, hit: load(None),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", MISUSES)
def test_what_python_gets_wrong_is_said_in_its_words(odd, name):
    searcher = Searcher.open(odd)
    with pytest.raises(LsrError, match="wanted"):
        MISUSES[name](searcher, searcher.search("bees")[0])


def test_an_encoder_can_be_given_by_name(tmp_path):
    index_documents([Document("1", text="bees dance")], "bm25", tmp_path / "index")
    assert Searcher.open(tmp_path / "index").search("bee")[0].id == "1"


def test_one_text_is_one_query_to_rank(odd):
    searcher = Searcher.open(odd)
    assert searcher.rank("bees", 2) == searcher.rank(["bees"], 2)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_of_each_what_it_says_itself(name):
    command = command_names()[name]
    assert COMMANDS[name].help == command.help.strip().split("\n")[0]


def test_help_imports_no_command():
    code = (
        "import sys\nfrom lsr.cli import main\nsys.argv[1:] = ['--help']\n"
        "try:\n    main()\nfinally:\n"
        "    assert not any(name.startswith('lsr.cli.') and name.count('.') > 2 for name in sys.modules)\n"
        "    assert 'numpy' not in sys.modules"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "--install-completion" in found.stdout
