"""What goes over the wire? Requests and responses of version 1, checked and written by msgspec."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

REFERENCE = "#/components/schemas/{name}"


class SearchRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A question."""

    query: Annotated[str, Meta(min_length=1, description="What to look for, in words.", examples=["how bees dance"])]
    k: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="How many hits to give at most; null means 10, or the service's limit where that is lower."),
    ] = None
    recall: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        Meta(description="Share of the true best k to find on average; 1 is exact, null as the index is set."),
    ] = None


class HitResponse(msgspec.Struct, frozen=True):
    """One document found."""

    id: str
    score: float
    title: str
    text: str


class SearchResponse(msgspec.Struct, frozen=True):
    """The documents found, best first; fewer than k when no more share a term with the query."""

    hits: list[HitResponse]


class HealthResponse(msgspec.Struct, frozen=True):
    """What is being served."""

    status: str
    version: str
    documents: int
    generation: int
    encoder: str


class Problem(msgspec.Struct, frozen=True):
    """Why a request was refused (RFC 9457).

    Attributes:
        title: the kind of problem, in words.
        status: of HTTP.
        code: the kind of problem; stays the same from version to version.
        detail: what was found, what was wanted, what to do.
        error: the same as ``detail``.
    """

    title: str
    status: int
    code: str
    detail: str
    error: str


def components() -> dict[str, Any]:
    """JSON schemas of everything above, by name."""
    types = (SearchRequest, SearchResponse, HealthResponse, Problem)
    return msgspec.json.schema_components(types, ref_template=REFERENCE)[1]


def content(kind: type[msgspec.Struct], media_type: str = "application/json") -> dict[str, Any]:
    """The OpenAPI content of a body that holds ``kind``."""
    return {"content": {media_type: {"schema": {"$ref": REFERENCE.format(name=kind.__name__)}}}}
