"""What does a run leave behind? Its settings, versions, measurements, curves, checkpoints and the best encoder.

::

    recipe.json  run.json     what was asked for; versions, seed, data
    metrics.jsonl             one line a measurement
    curves.png  tensorboard/  the same to look at
    checkpoints/step-N/       to go on from
    encoder/                  the best on the dev set
"""

from __future__ import annotations

import platform
import shutil
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from lsr._version import __version__
from lsr.errors import MissingExtraError, TrainingError
from lsr.training.recipe import Recipe
from lsr.training.student.student import Student

PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "numpy")


class RunFolder:
    """Writes into ``path``.

    Args:
        path: folder of the run.
        recipe: what is trained.
        facts: seed, data, model, as JSON.
        resume: whether the run goes on.
        writes: whether this process writes; others only read checkpoints.

    Raises:
        TrainingError: a new run where one is, or another recipe than before.
        MissingExtraError: tensorboard is not installed.
    """

    def __init__(
        self, path: Path, recipe: Recipe, facts: dict[str, Any], resume: bool = False, writes: bool = True
    ) -> None:
        self.path = path
        if not writes:
            return
        self._check(recipe, resume)
        path.mkdir(parents=True, exist_ok=True)
        (path / "recipe.json").write_bytes(msgspec.json.format(msgspec.json.encode(recipe)))
        versions = {"lsr": __version__, "python": platform.python_version(), **{n: version(n) for n in PACKAGES}}
        (path / "run.json").write_bytes(msgspec.json.format(msgspec.json.encode({"versions": versions, **facts})))
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingExtraError("tensorboard", "train", "training") from None
        self._board = SummaryWriter(str(path / "tensorboard"))

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints lie."""
        return self.path / "checkpoints"

    def log(self, step: int, values: dict[str, float]) -> None:
        """Add a line of measurements."""
        with (self.path / "metrics.jsonl").open("ab") as file:
            file.write(msgspec.json.encode({"step": step, **values}) + b"\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def forget_after(self, step: int) -> None:
        """Drop lines of steps that a resumed run does again."""
        kept = [line for line in self.lines() if line["step"] <= step]
        (self.path / "metrics.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in kept))

    def lines(self) -> list[dict[str, float]]:
        """All measurements; a line that a kill cut short is none."""
        path, found = self.path / "metrics.jsonl", []
        for line in path.read_bytes().splitlines() if path.is_file() else ():
            with suppress(msgspec.DecodeError):
                found.append(msgspec.json.decode(line, type=dict[str, float]))
        return found

    def keep_encoder(self, student: Student) -> None:
        """Put ``student`` in the place of the encoder, whole or not at all."""
        new, old = self.path / "encoder.new", self.path / "encoder"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        student.save(new)
        shutil.rmtree(old, ignore_errors=True)
        new.rename(old)

    def close(self) -> None:
        """Draw the curves and let go of files."""
        self._board.close()
        draw(self.lines(), self.path / "curves.png")

    def _check(self, recipe: Recipe, resume: bool) -> None:
        path = self.path / "recipe.json"
        if not resume and path.exists():
            raise TrainingError(f"{self.path} holds a run: go on with --resume, or give a new folder to --out")
        if resume and not path.is_file():
            raise TrainingError(f"{self.path} holds no run to go on with: start without --resume")
        if resume and _recipe_in(path) != recipe:
            raise TrainingError(f"{path} is another recipe or profile than was asked for; resume with the one it had")


def _recipe_in(path: Path) -> Recipe:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Recipe)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} is damaged ({error}): put the recipe there again, or start anew") from None


def draw(lines: list[dict[str, float]], path: Path) -> None:
    """Every measurement over the steps, one small plot each, as PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "train", "drawing curves") from None
    names = sorted({name for line in lines for name in line} - {"step"})
    figure = Figure(figsize=(4 * 3, 2.4 * max(1, -(-len(names) // 3))), layout="constrained")
    FigureCanvasAgg(figure)
    for i, name in enumerate(names, 1):
        axes = figure.add_subplot(-(-len(names) // 3), 3, i)
        points = [(line["step"], line[name]) for line in lines if name in line]
        axes.plot(*zip(*points, strict=True), marker="." if len(points) < 20 else None)
        axes.set_title(name, fontsize=9)
    figure.savefig(path, dpi=110)
