"""What goes over the wire? Requests and responses of version 1."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SearchRequest(BaseModel):
    """A question."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"query": "how bees dance", "k": 3}]})

    query: str = Field(min_length=1, description="What to look for, in words.")
    k: int = Field(10, ge=1, description="How many hits to give at most.")
    recall: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of the true best k to find on average; 1 is exact, null as the index is set.",
    )


class HitResponse(BaseModel):
    """One document found."""

    id: str
    score: float
    title: str
    text: str


class SearchResponse(BaseModel):
    """The documents found, best first; fewer than k when no more share a term with the query."""

    hits: list[HitResponse]


class HealthResponse(BaseModel):
    """What is being served."""

    status: str
    version: str
    documents: int
    generation: int
    encoder: str


class ErrorResponse(BaseModel):
    """Why a request was refused."""

    error: str
