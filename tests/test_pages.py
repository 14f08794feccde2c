"""Every command and program of the pages does what the pages say."""

import re
import shlex

import pytest
import typer

from lsr.cli.app import app
from tests.conftest import ROOT
from tests.pages import LANGUAGES, RUN, SHOWN, Block, Reader, agree, blocks, commands, masked

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [block for page in PAGES for block in blocks(page)]


def test_pages_say_what_happens(tmp_path):
    """All in one folder, one after another, so that an index that several pages make is made once."""
    for name in SHOWN:
        (tmp_path / name).symlink_to(ROOT / name)
    reader = Reader(tmp_path)
    drifts = [drift for page in PAGES for drift in reader.read(page)]
    assert not drifts, "\n\n".join(map(str, drifts))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_pages_lead_to_files_and_headings(page):
    for link, anchor in re.findall(r"\]\(([^)#\s:]*)(?:#([^)\s]+))?\)", page.read_text()):
        target = page.parent / link if link else page
        assert target.exists(), f"{page.name}: {link}"
        headings = re.findall(r"^#+ (.*)", target.read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in headings}, (
            anchor
        )


def test_every_block_is_run_or_says_why_not():
    assert {block.language for block in BLOCKS} <= LANGUAGES, [b[:3] for b in BLOCKS if b.language not in LANGUAGES]
    run = [block for block in BLOCKS if block.language in RUN and block.unrun is None]
    unrun = [block for block in BLOCKS if block.unrun is not None]
    assert {block.language for block in unrun} <= RUN
    assert len(run) > len(unrun), f"{len(run)} blocks are run, {len(unrun)} are not"
    for block in BLOCKS:
        if block.language not in RUN:
            assert not any(re.match(r"\$ |lsr |pip |python ", line) for line in block.lines), block[:3]


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.unrun and b.language == "console"], ids=lambda b: f"{b.page}:{b.start}"
)
def test_commands_that_are_not_run_have_options_that_exist(block: Block):
    root = typer.main.get_command(app)
    for command in commands(block):
        words = [word for word in shlex.split(command.words.replace("\\\n", " "), comments=True) if word != "..."]
        if words[0] != "lsr":
            continue
        group, name, rest = root, words[1], words[2:]
        while hasattr(group, "commands"):
            assert name in group.commands, f"{block.page}: no command {name}"
            group = group.commands[name]
            if hasattr(group, "commands"):
                name, rest = rest[0], rest[1:]
        group.make_context(name, rest)


@pytest.mark.parametrize(
    ("said", "found", "same"),
    [
        ("12 documents, 1.5 MB", "7 documents, 980 kB", True),
        ("score  0.5", "score 0.25", True),
        ("score 0.5", "share 0.5", False),
        ("first\n...\nlast", "first\nsecond\nlast", True),
        ("first\n...", "second\nfirst", False),
        ("one", "one\ntwo", False),
        ("", "one", False),
    ],
)
def test_what_counts_as_the_same(said, found, same):
    assert agree(masked(said), masked(found)) is same
