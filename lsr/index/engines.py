"""Which engine answers approximate searches of an index, and with which settings?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lsr.errors import InputError
from lsr.index.seismic import SeismicIndex, SeismicSettings
from lsr.index.windowed import WindowedIndex, WindowedSettings


@dataclass(frozen=True)
class EngineChoice:
    """A name and how the index and its settings are made.

    Attributes:
        index: the class with ``build`` and ``load``.
        settings: its settings.
        segment_nonzeros: weights of one segment; building one takes about 2 GB.
    """

    index: Any
    settings: type[Any]
    segment_nonzeros: int


ENGINES = {
    "windowed": EngineChoice(WindowedIndex, WindowedSettings, 2**26),
    "seismic": EngineChoice(SeismicIndex, SeismicSettings, 2**24),
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

    def to_dict(self) -> dict[str, Any]:
        """As kept in a manifest."""
        return {"engine": self.engine, **asdict(self.settings)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> IndexSettings:
        """From a manifest.

        Raises:
            InputError, TypeError: names or values that no engine has.
        """
        rest = dict(values)
        chosen = cls(rest.pop("engine", None))
        return cls(chosen.engine, chosen.choice.settings(**rest))
