"""Which systems shall be measured on which collections? One TOML."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from lsr.errors import InputError, reason
from lsr.eval.cells import slug
from lsr.eval.measures.evaluate import DEFAULT_MEASURES, depth_of
from lsr.eval.measures.more_than_grades import Evidence, check_evidence
from lsr.eval.measures.names import parse_measures
from lsr.eval.runs.conventions import convention
from lsr.eval.runs.fusion import METHODS

PROVIDED = re.compile(r"[a-z]+:")
Engine = Literal["exact", "windowed", "seismic"]


class SystemSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One system: an encoder, or a fusion of other systems, or run files made elsewhere.

    Attributes:
        name: a row of the table.
        encoder: "bm25", "bm25:LANGUAGE", "default", or the folder of a model, sparse or dense; relative to
            the suite's file.
        engine: "exact", or an engine that searches approximately; several make a system each.
        recall: that an approximate engine shall give; None takes its own settings.
        fuse: names of systems above this one.
        method: of the fusion, as in `lsr.eval.fuse`.
        weights: one for each fused system.
        runs: path of a run file, relative to the suite's file; ``{collection}`` stands for the collection's name.
        truncate: read of long documents the beginning only, as published numbers have it.
        optional: leave the system out, and say so, where its encoder or run file is not there.
    """

    name: str
    encoder: str | None = None
    engine: Engine | tuple[Engine, ...] = "exact"
    recall: float | None = None
    fuse: tuple[str, ...] = ()
    method: str = "rrf"
    weights: tuple[float, ...] | None = None
    runs: str | None = None
    truncate: bool = False
    optional: bool = False


class Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to measure.

    Attributes:
        title: heading of table and report; without, the file's name.
        collections: paths, relative to the suite's file.
        system: the systems, in order of the table.
        measures: names of ir-measures; the first one makes the table.
        convention: as for `lsr eval`.
        depth: results kept of every query, also as the input of fusions; at least what the measures need.
        baseline: the system that others are compared with; None takes the first.
        split: judgements; None takes test, or else dev.
    """

    title: str = ""
    collections: tuple[str, ...]
    system: tuple[SystemSpec, ...]
    measures: tuple[str, ...] = DEFAULT_MEASURES
    convention: str = "trec"
    depth: int = 100
    baseline: str | None = None
    split: str | None = None

    def order(self) -> Iterator[tuple[SystemSpec, str]]:
        """Every (system, collection); a fusion comes as soon as the last of its parts is there."""
        places = {spec.name: i for i, spec in enumerate(self.system)}
        last = {spec.name: max(self._leaves(spec), key=places.__getitem__) for spec in self.system if spec.fuse}
        for spec in self.system:
            for collection in self.collections if not spec.fuse else ():
                yield spec, collection
                yield from ((fused, collection) for fused in self.system if last.get(fused.name) == spec.name)

    def _leaves(self, spec: SystemSpec) -> set[str]:
        by_name = {other.name: other for other in self.system}
        if not spec.fuse:
            return {spec.name}
        return {leaf for name in spec.fuse for leaf in self._leaves(by_name[name])}


def read_suite(path: Path) -> Suite:
    """The suite in the file ``path``; paths in it are made relative to the working folder, one engine a system.

    Raises:
        InputError: no such file, not TOML, an unknown field, or systems that do not make sense.
    """
    try:
        suite = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Suite)
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}; give the TOML of a suite") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, msgspec.ValidationError) as error:
        raise InputError(f"{path}: not a suite ({error!s:.200})") from None
    systems = tuple(one for spec in suite.system for one in _one_engine_each(_placed(spec, path.parent)))
    collections = tuple(_near(path.parent, name) for name in suite.collections)
    whole = msgspec.structs.replace(suite, system=systems, collections=collections)
    _check(whole, path)
    needed = depth_of(parse_measures(whole.measures)) + convention(whole.convention).drops_self
    return msgspec.structs.replace(whole, title=whole.title or path.stem, depth=max(whole.depth, needed))


def _placed(spec: SystemSpec, folder: Path) -> SystemSpec:
    named = spec.encoder in (None, "bm25", "default") or str(spec.encoder).startswith("bm25:")
    encoder = spec.encoder if named else _near(folder, str(spec.encoder))
    return msgspec.structs.replace(spec, encoder=encoder, runs=spec.runs and _near(folder, spec.runs))


def _near(folder: Path, name: str) -> str:
    """A path from the working folder; names of a provider, such as irds:NAME, stay."""
    return name if PROVIDED.match(name) else os.path.relpath(folder / name)


def _one_engine_each(spec: SystemSpec) -> Iterator[SystemSpec]:
    engines = (spec.engine,) if isinstance(spec.engine, str) else spec.engine
    for engine in engines:
        name = spec.name if engine == "exact" else f"{spec.name} ({engine})"
        yield msgspec.structs.replace(spec, name=name if len(engines) > 1 else spec.name, engine=engine)


def _check(suite: Suite, path: Path) -> None:
    convention(suite.convention)
    distances = [one for one in parse_measures(suite.measures) if one.NAME == "ILD"]
    check_evidence(distances, Evidence(), f"a suite keeps none: leave it out of {path}, and measure it with lsr eval")
    if not suite.system or not suite.collections:
        raise InputError(f"{path}: wanted one system and one collection at least")
    if not suite.measures:
        raise InputError(f"{path}: wanted one measure at least")
    seen: set[str] = set()
    for spec in suite.system:
        if fault := _fault(spec, seen):
            raise InputError(f"{path}: system {spec.name!r:.60}: {fault}")
        seen.add(spec.name)
    if len({slug(name) for name in seen}) < len(seen):
        raise InputError(f"{path}: two names of systems make one file name: let them differ in letters or digits")
    names = [collection_name(collection) for collection in suite.collections]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"{path}: the collection name {min(twice)!r} was given twice: rename a folder")
    if suite.baseline is not None and suite.baseline not in seen:
        raise InputError(
            f"{path}: baseline {suite.baseline!r:.60} is no system: wanted one of {', '.join(sorted(seen))}"
        )


def _fault(spec: SystemSpec, before: set[str]) -> str | None:
    if spec.name in before:
        return "the name was given before"
    if sum(map(bool, (spec.encoder, spec.fuse, spec.runs))) != 1:
        return "wanted exactly one of encoder, fuse and runs"
    if unknown := [name for name in spec.fuse if name not in before]:
        return f"fuses {unknown[0]!r:.60}, which is no system above it"
    if spec.fuse and (len(spec.fuse) < 2 or spec.method not in METHODS):
        return f"method {spec.method!r:.60} over {len(spec.fuse)} systems: wanted {', '.join(METHODS)} over two or more"
    if spec.weights is not None and len(spec.weights) != len(spec.fuse):
        return f"{len(spec.weights)} weights for {len(spec.fuse)} systems"
    if not all(map(math.isfinite, spec.weights or ())):
        return f"weights {list(spec.weights or ())}: wanted finite numbers"
    if spec.recall is not None and spec.engine == "exact":
        return "recall is for an approximate engine: windowed or seismic"
    return None


def path_for(pattern: str, collection: str) -> str:
    """The path ``pattern`` with the collection's name for ``{collection}``; other braces are part of it."""
    return pattern.replace("{collection}", collection)


def collection_name(path: str) -> str:
    """Folder or file name without ending; of a provider's name what follows the colon, as one word."""
    if PROVIDED.match(path):
        return path.partition(":")[2].replace("/", "-")
    return Path(path).name.removesuffix(".zip")
