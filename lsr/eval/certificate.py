"""Can others check a number? A certificate: everything that decided it, and what came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from lsr.corpus.layouts.json_text import json_value
from lsr.errors import InputError, reason

FORMAT, VERSION = "lsr-certificate", 1
MEANS = 5e-5  # difference of two means that print alike, to four digits


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured.

    Attributes:
        dataset: path of the judged collection.
        encoder: name or folder; None with an index.
        index: folder of an index; None with an encoder.
        measures: names of ir-measures.
        split: judgements; None means the collection's own choice.
        convention: as for `lsr eval`.
        exact: whether an index is searched exactly.
        threads: for queries a second.
        topics: file whose queries are asked instead; None asks those of the collection.
        topic_field: part of TREC topics.
        truncate: whether the encoder reads of long documents the beginning only.
    """

    dataset: str
    encoder: str | None = None
    index: str | None = None
    measures: tuple[str, ...] = ()
    split: str | None = None
    convention: str = "trec"
    exact: bool = False
    threads: int = 1
    topics: str | None = None
    topic_field: str | None = None
    truncate: bool = False


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, of what, and what came out.

    Attributes:
        question: enough to ask again.
        data: checksums of documents, queries and judgements (`data_checksums`), and of the index's files where one was
            given.
        system: encoder, fingerprint, engine, settings, search.
        seed: of everything random: samples for FLOPS, resamples for intervals.
        measures: means.
        per_query: checksum of all values by measure and query.
        run: checksum of the ids found, in order.
        efficiency: what a search cost; never compared.
        made: date, versions and machine.
        command: that made it.
    """

    format: str = FORMAT
    version: int = VERSION
    question: Question
    data: dict[str, str]
    system: dict[str, Any]
    seed: int
    measures: dict[str, float]
    per_query: str
    run: str
    efficiency: dict[str, Any]
    made: dict[str, Any]
    command: list[str]


class Line(NamedTuple):
    """One thing compared; ``agrees`` is None where it is only reported."""

    name: str
    stated: str
    found: str
    agrees: bool | None


def read_certificate(path: Path) -> Certificate:
    """The certificate in the file ``path``.

    Raises:
        InputError: no such file, or something else in it.
    """
    try:
        found: Certificate = json_value(path.read_bytes(), Certificate)
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}; give a file that --certificate wrote") from None
    except InputError as fault:
        raise InputError(f"{path} is no certificate ({fault}); give a file that --certificate wrote") from None
    if (found.format, found.version) != (FORMAT, VERSION):
        raise InputError(f"{path} is {found.format!r:.40} {found.version}, wanted {FORMAT} {VERSION}: measure again")
    if not all(isinstance(found.made.get(name), dict) for name in ("versions", "machine")):
        raise InputError(f"{path} does not say by which versions and machine it was made: measure again")
    return found


def compare_certificates(stated: Certificate, found: Certificate) -> list[Line]:
    """Line by line: data, system and results must agree; the rest is reported.

    On the same processor with the same packages results agree to the last bit. Elsewhere the last bit of a product may
    be another, and with it the order of two documents that are equally good: there means must agree to four digits, and
    the order is only reported.
    """
    same = stated.made["versions"] == found.made["versions"] and _processor(stated) == _processor(found)
    return [
        *_exact("data", stated.data, found.data),
        *_exact("system", stated.system, found.system),
        Line("results, in order", stated.run, found.run, stated.run == found.run or _if(same, False)),
        *_means(stated.measures, found.measures, 0.0 if same else MEANS),
        Line(
            "values by query",
            stated.per_query,
            found.per_query,
            stated.per_query == found.per_query or _if(same, False),
        ),
        *_told("version", stated.made["versions"], found.made["versions"]),
        *_told("machine", stated.made["machine"], found.made["machine"]),
        *_told("cost", stated.efficiency, found.efficiency),
    ]


def _processor(certificate: Certificate) -> str:
    return str(certificate.made["machine"].get("processor"))


def _if(certain: bool, value: bool) -> bool | None:
    """``value``, or None where nobody can be certain."""
    return value if certain else None


def _means(stated: Mapping[str, float], found: Mapping[str, float], most: float) -> Iterator[Line]:
    for name, a, b in _pairs(stated, found):
        numbers = isinstance(a, float) and isinstance(b, float)
        yield Line(f"mean: {name}", str(a), str(b), abs(a - b) <= most if numbers else a == b)


def _exact(kind: str, stated: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Line]:
    for name, a, b in _pairs(stated, found):
        yield Line(f"{kind}: {name}", str(a), str(b), a == b)


def _told(kind: str, stated: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Line]:
    for name, a, b in _pairs(stated, found):
        yield Line(f"{kind}: {name}", str(a), str(b), None)


def _pairs(stated: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in {**stated, **found}:
        yield name, stated.get(name, "nothing"), found.get(name, "nothing")
