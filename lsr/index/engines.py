"""Which engine answers approximate searches of an index, and with which settings?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, Protocol, Self

import msgspec

from lsr.errors import InputError
from lsr.index.allowed import Allowed
from lsr.index.results import TopK
from lsr.index.settings import SeismicSettings, WindowedSettings
from lsr.sparse import SparseMatrix


class Engine(Protocol):
    """What finds the best documents of one segment: `WindowedIndex`, `SeismicIndex`, `ExactIndex`."""

    @classmethod
    def build(
        cls,
        documents: SparseMatrix,
        settings: Any = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Index ``documents`` on all cores; equal for any number of them.

        Args:
            documents: the vectors, one row a document.
            settings: None takes the defaults.
            progress: called with (steps done, steps in all).

        Raises:
            VectorError: weights that the engine does not take.
        """

    def save(self, folder: Path) -> None:
        """Write the arrays of the engine into ``folder``; the document vectors are saved by their owner."""

    @classmethod
    def load(cls, folder: Path, documents: SparseMatrix, settings: Any) -> Self:
        """The index over ``documents`` that `save` wrote into ``folder``.

        Raises:
            ValueError, OSError: an array is missing, or points outside another one.
            VectorError: weights that the engine does not take.
        """

    def search(
        self,
        queries: SparseMatrix,
        k: int,
        *,
        exact: bool = False,
        allowed: Allowed | None = None,
        settings: Any = None,
        threads: int = 1,
    ) -> TopK:
        """The best k documents of each query; scores are exact inner products, ties go to the lower row.

        Args:
            queries: one row a query.
            k: at least 1, cut to the number of documents.
            exact: leave nothing out that could matter.
            allowed: the documents that may be found; None means all.
            settings: of this search; None takes those of the index.
            threads: queries are spread over so many; results are equal for any number.

        Raises:
            MismatchError: queries over another vocabulary, or ``allowed`` for another number of documents.
            InputError: k or threads below 1.
        """


@dataclass(frozen=True)
class EngineChoice:
    """A name and how the index and its settings are made.

    Attributes:
        home: module and name of the class with ``build`` and ``load``.
        settings: its settings.
        segment_nonzeros: weights of one segment; building one takes about 2 GB.
        grid: changes of the settings that `lsr tune` tries.
        untuned: (recall@10, changes of the settings) for indexes without a frontier of their own, by rising recall.
            On 200,000 SPLADE vectors they reach more than they say; collections differ.
    """

    home: tuple[str, str]
    settings: type[Any]
    segment_nonzeros: int
    grid: tuple[dict[str, Any], ...]
    untuned: tuple[tuple[float, dict[str, Any]], ...]

    @property
    def index(self) -> type[Engine]:
        """The class, imported when it is wanted."""
        module, name = self.home
        found: type[Engine] = getattr(import_module(module), name)
        return found


ENGINES = {
    "windowed": EngineChoice(
        ("lsr.index.windowed.engine", "WindowedIndex"),
        WindowedSettings,
        2**26,
        tuple(
            {"cut": cut, "effort": effort}
            for cut, effort in product((0.35, 0.3, 0.25, 0.2, 0.16, 0.12, 0.09, 0.06, 0.03), (0.7, 1.0, 1.5, 3.0))
        ),
        tuple(
            (recall, {"cut": cut, "effort": effort})
            for recall, cut, effort in ((0.9, 0.25, 1.0), (0.95, 0.2, 1.0), (0.98, 0.15, 1.0), (0.99, 0.12, 1.0))
        ),
    ),
    "seismic": EngineChoice(
        ("lsr.index.seismic.engine", "SeismicIndex"),
        SeismicSettings,
        2**24,
        tuple(
            {"query_cut": cut, "heap_factor": factor, "first_look": look}
            for cut, factor, look in product((4, 6, 10, 16), (0.9, 0.8, 0.7, 0.5), (0.75, 0.5, 0.25, 0.0))
        ),
        tuple(
            (recall, {"query_cut": cut, "heap_factor": factor, "first_look": look})
            for recall, cut, factor, look in ((0.9, 8, 0.9, 0.4), (0.95, 10, 0.8, 0.25), (0.98, 12, 0.7, 0.0))
        ),
    ),
}


@dataclass(frozen=True)
class IndexSettings:
    """The engine of an index and its settings.

    Attributes:
        engine: "windowed" or "seismic".
        settings: `WindowedSettings` or `SeismicSettings`; None takes the engine's defaults.

    Raises:
        InputError: an unknown engine, or settings of another one.
    """

    engine: str = "windowed"
    settings: Any = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise InputError(f"unknown engine {self.engine!r}: wanted {' or '.join(ENGINES)}")
        kind = ENGINES[self.engine].settings
        if self.settings is None:
            object.__setattr__(self, "settings", kind())
        if not isinstance(self.settings, kind):
            raise InputError(f"settings of {type(self.settings).__name__} for {self.engine}: wanted {kind.__name__}")

    @property
    def choice(self) -> EngineChoice:
        """What the engine is made of."""
        return ENGINES[self.engine]

    def changed(self, values: dict[str, Any]) -> Any:
        """The engine's settings with other values.

        Raises:
            TypeError: a name that the engine does not have.
        """
        return replace(self.settings, **values)

    def to_dict(self) -> dict[str, Any]:
        """As kept in a manifest."""
        return {"engine": self.engine, **asdict(self.settings)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> IndexSettings:
        """From a manifest.

        Raises:
            InputError: names, types or values that no engine has.
        """
        rest = dict(values)
        engine = str(rest.pop("engine", None))
        kind = cls(engine).choice.settings
        rest.pop("n_knn", None)  # kept by older indexes: neighbours, which gained nothing
        if unknown := rest.keys() - {field.name for field in fields(kind)}:
            raise InputError(f"unknown setting {min(unknown)!r} of the engine {engine}")
        try:
            return cls(engine, msgspec.convert(rest, kind))
        except msgspec.ValidationError as error:
            raise InputError(f"settings of the engine {engine}: {error}") from None
