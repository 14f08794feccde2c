"""Which commands stand in the pages, and do they print what the pages say?

A fenced block says by its language what it is: ``console`` holds lines "$ command" with what they print (a line "..."
stands for any lines), ``python`` a program, with a block ``text`` right after it for what that prints. Both are run,
unless the line before the fence says why not: ``<!-- not run: needs a GPU -->``. Numbers, sizes and bars are masked.

``python -m tests.pages PAGE...`` runs pages and writes into them what their commands print now.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

LANGUAGES = {"console", "python", "text", "toml", "json"}
RUN = {"console", "python"}
SHOWN = ("data", "benchmarks", "examples")  # of the clone, in the folder where a reader stands
FENCE = re.compile(r"^```(\w*)$")
MARK = re.compile(r"<!-- not run: (.+) -->")
HEREDOC = re.compile(r"<<\s*'?(\w+)'?")
SHELL = re.compile(r"[|&;<>$`*~]")
NOISE = re.compile(r"━|^compiling kernels")  # on standard error
MASKS = (
    (re.compile(r"\b[0-9a-f]{12,}\b"), "#"),
    (re.compile(r"[-+<]?\.?\d[\d,]*(\.\d+)*(e[-+]?\d+)?"), "#"),
    (re.compile(r"# ?(B|kB|MB|GB)\b"), "# B"),
    (re.compile(r"█+"), "█"),
    (re.compile(r"[ \t]+"), " "),
)


class Block(NamedTuple):
    """A fenced block: its page and first line, its language, its lines, and why it is not run, if it is not."""

    page: str
    start: int
    language: str
    lines: list[str]
    unrun: str | None


class Command(NamedTuple):
    """What a page says that somebody types, the number of the line after it, and the lines that are printed there."""

    words: str
    after: int
    printed: list[str]


class Drift(NamedTuple):
    """A command that prints something else than its page says, or fails."""

    page: str
    command: Command
    found: str

    def __str__(self) -> str:
        said = "\n".join(self.command.printed)
        where = f"{self.page}, line {self.command.after}"
        return f"{where}: $ {self.command.words}\n--- the page says\n{said}\n--- it prints\n{self.found}"


def blocks(page: Path) -> list[Block]:
    """Fenced blocks of a page in order."""
    found: list[Block] = []
    opened: Block | None = None
    before = ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if fence and opened is None:
            mark = MARK.search(before)
            opened = Block(page.name, number + 1, fence[1], [], mark and mark[1])
        elif fence and opened is not None:
            found.append(opened)
            opened = None
        elif opened is not None:
            opened.lines.append(line)
        before = line if line.strip() else before
    return found


def commands(block: Block) -> Iterator[Command]:
    """The commands of a block with what they print; lines that end in a backslash and here-documents go on."""
    at, lines = 0, block.lines
    while at < len(lines):
        words, at = lines[at], at + 1
        assert words.startswith("$ "), f"{block.page}, line {block.start + at - 1}: no command before {words!r}"
        words = words[2:]
        while words.endswith("\\"):
            words, at = f"{words}\n{lines[at]}", at + 1
        if end := HEREDOC.search(words):
            while words.splitlines()[-1] != end[1]:
                words, at = f"{words}\n{lines[at]}", at + 1
        printed = list(itertools.takewhile(lambda line: not line.startswith("$ "), lines[at:]))
        yield Command(words, block.start + at, printed)
        at += len(printed)


def masked(text: str) -> list[str]:
    """Lines without numbers, progress bars and empty lines."""
    lines = [line for line in text.splitlines() if line.strip() and not NOISE.search(line)]
    for pattern, mask in MASKS:
        lines = [pattern.sub(mask, line) for line in lines]
    return [line.strip() for line in lines]


def agree(printed: list[str], found: list[str]) -> bool:
    """Whether lines are those that a page has, where a line "..." stands for any number of them."""
    pattern = "".join("(?:.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in printed)
    return re.fullmatch(pattern, "".join(line + "\n" for line in found)) is not None


class Reader:
    """Does in a folder what pages say, as somebody who reads them from the first line to the last.

    Args:
        folder: where commands run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._indexed: dict[str, str] = {}
        self._server: subprocess.Popen[str] | None = None
        self._address = ("localhost:8080", "localhost:8080")
        self._names: dict[str, Any] = {}

    def read(self, page: Path) -> list[Drift]:
        """Run a page; what it says otherwise than what happens."""
        self._names = {"__name__": "__main__"}
        found = blocks(page)
        drifts: list[Drift | None] = []
        try:
            for block, following in itertools.zip_longest(found, found[1:]):
                if block.unrun is None and block.language == "console":
                    drifts += [self._command(block.page, command) for command in commands(block)]
                elif block.unrun is None and block.language == "python":
                    drifts.append(self._program(block, following))
        finally:
            self._stop_serving()
        return [drift for drift in drifts if drift]

    def _program(self, block: Block, following: Block | None) -> Drift | None:
        source = "\n" * (block.start - 1) + "\n".join(block.lines)
        with standing_in(self._folder), captured() as output:
            exec(compile(source, block.page, "exec"), self._names)  # noqa: S102
        said = following if following and following.language == "text" else block._replace(lines=[])
        return _drift(block.page, Command("(python)", said.start, said.lines), output.getvalue().decode())

    def _command(self, page: str, command: Command) -> Drift | None:
        words = command.words.replace(*self._address)
        if words.startswith("lsr serve"):
            return _drift(page, command, self._serve(words))
        if words.startswith("lsr index") and self._is_there(words):
            return None
        in_process = words.startswith("lsr ") and not SHELL.search(re.sub(r"'[^']*'|\"[^\"]*\"", "", words))
        code, found = (self._lsr if in_process else self._shell)(words)
        if (code != 0) != any(line.startswith("error: ") for line in command.printed):
            return Drift(page, command, f"{found}\n(exit code {code})")
        return _drift(page, command, found)

    def _is_there(self, words: str) -> bool:
        """Whether this very command has made the index that is there, so that no page waits for it again."""
        out = words.partition("--out ")[2].split()[0]
        if self._indexed.get(out) == words:
            return True
        self._indexed[out] = words
        return False

    def _lsr(self, words: str) -> tuple[int, str]:
        """The console script in this process."""
        with standing_in(self._folder), captured() as output:
            code = run_lsr(shlex.split(words, comments=True))
        return code, output.getvalue().decode()

    def _shell(self, words: str) -> tuple[int, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", words],
            cwd=self._folder,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        return done.returncode, done.stdout

    def _serve(self, words: str) -> str:
        """Start a server on a free port; what it prints until it listens."""
        self._stop_serving()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._address = ("localhost:8080", f"127.0.0.1:{port}")
        args = shlex.split(words.rstrip("& ").replace("8080", str(port)))
        program = [sys.executable, "-c", "from lsr.cli import main; main()", *args[1:]]
        self._server = subprocess.Popen(program, cwd=self._folder, stderr=subprocess.PIPE, text=True)
        said = ""
        for line in self._server.stderr or ():
            said += line
            if "http://" in line:
                break
        return said.replace(str(port), "8080")

    def _stop_serving(self) -> None:
        if self._server:
            self._server.terminate()
            assert self._server.stderr
            self._server.stderr.close()
            self._server.wait(30)
        self._server = None


def run_lsr(argv: list[str]) -> int:
    """Run the console script in this process; its exit code."""
    from lsr.cli import main

    kept = sys.argv, {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    sys.argv = argv
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = kept[0]
        for number, handler in kept[1].items():
            signal.signal(number, handler)
    return 0


def _drift(page: str, command: Command, found: str) -> Drift | None:
    same = agree(masked("\n".join(command.printed)), masked(found))
    return None if same else Drift(page, command, found)


def write(page: Path, drifts: list[Drift]) -> None:
    """Put what was printed in the place of what a page says."""
    lines = page.read_text().splitlines()
    for drift in reversed(drifts):
        found = [line.rstrip() for line in drift.found.rstrip().splitlines() if not NOISE.search(line)]
        at = drift.command.after - 1
        lines[at : at + len(drift.command.printed)] = found
    page.write_text("\n".join(lines) + "\n")


class _Output(io.BytesIO):
    """What was written to it, also when the stream above it is gone."""

    def close(self) -> None:
        """Stay open."""


@contextlib.contextmanager
def captured() -> Iterator[io.BytesIO]:
    """Both streams of this process in one, as a terminal of 80 columns shows them."""
    from lsr.cli.console import out

    output, width = _Output(), out.width
    streams = [io.TextIOWrapper(output, encoding="utf-8", line_buffering=True) for _ in range(2)]
    out.width = 80
    try:
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            yield output
    finally:
        out.width = width


@contextlib.contextmanager
def standing_in(folder: Path) -> Iterator[None]:
    """The folder as the current one."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def main() -> None:
    """Write into the pages named what their commands print."""
    root = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as folder:
        for name in SHOWN:
            (Path(folder) / name).symlink_to(root / name)
        reader = Reader(Path(folder))
        for page in [Path(name).resolve() for name in sys.argv[1:]]:
            drifts = reader.read(page)
            write(page, drifts)
            print(*drifts, sep="\n\n")  # noqa: T201


if __name__ == "__main__":
    main()
