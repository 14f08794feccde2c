"""Draw the pictures of the README: a search in a terminal, and an evaluation report. Run by `make pictures`.

The terminal is real: commands run under a pseudo-terminal, and what they print is drawn. The report needs Chromium.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
LSR = [sys.executable, "-c", "from lsr.cli import main; main()"]
QUERY = "rotten teeth from eating sweets"
COLUMNS = 82
FONT_OF_ANOTHER_HOST = re.compile(r"@font-face \{.*?\}", re.DOTALL)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def typed(folder: Path, *args: str) -> str:
    """What a terminal shows where somebody types a command of lsr."""
    shown = b""
    process, terminal = pty.fork()
    if not process:
        os.chdir(folder)
        os.environ.update(COLUMNS=str(COLUMNS), TERM="xterm-256color", PYTHONPATH=str(ROOT))
        os.execv(LSR[0], [*LSR, *args])  # noqa: S606
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the process has ended
            break
        shown += part
    os.waitpid(process, 0)
    return f"\x1b[1m$ lsr {shlex.join(args)}\x1b[0m\r\n{shown.decode()}"


def draw_search(folder: Path) -> None:
    """The answer that BM25 does not find, and why it was found."""
    shown = typed(folder, "search", "my-index", QUERY, "-k", "2", "--explain")
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(shown.replace("\r\n", "\n").rstrip()), soft_wrap=True)
    drawn = console.export_svg(title="lsr search --explain", unique_id="lsr")
    (IMAGES / "explain.svg").write_text(FONT_OF_ANOTHER_HOST.sub("", drawn))


def draw_report(folder: Path) -> None:
    """The upper part of the report of the default model against BM25."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"no browser to draw the report with: wanted one of {', '.join(BROWSERS)}")
    lsr(folder, "eval", "data/sample", "--encoder", "bm25", "--run", "bm25.run")
    lsr(folder, "eval", "data/sample", "--index", "my-index", "--report", "report.html", "--baseline", "bm25.run")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1080,1560"]
    picture = f"--screenshot={IMAGES / 'report.png'}"
    subprocess.run([browser, *options, picture, (folder / "report.html").as_uri()], check=True, capture_output=True)
    with Image.open(IMAGES / "report.png") as image:
        image.convert("RGB").quantize(32).save(IMAGES / "report.png", optimize=True)  # a third of the size


def lsr(folder: Path, *args: str) -> None:
    """Run a command and stop where it fails."""
    subprocess.run([*LSR, *args], cwd=folder, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def main() -> None:
    """Both pictures, of an index made now."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").symlink_to(ROOT / "data")
        lsr(folder, "index", "data/sample", "--out", "my-index")
        draw_search(folder)
        draw_report(folder)


if __name__ == "__main__":
    main()
