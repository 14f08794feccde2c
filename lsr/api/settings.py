"""Which limits does the service keep? Fields of `Settings`, each also an environment variable LSR_..."""

from __future__ import annotations

import os
from difflib import get_close_matches

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from lsr.errors import InputError

PREFIX = "LSR_"


class Settings(BaseSettings):
    """Limits of the service; the environment variable of a field is LSR_ and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)

    max_k: int = Field(default=1000, ge=1, description="Most hits that one search may ask for.")
    max_query_characters: int = Field(default=8192, ge=1, description="Longest query text.")
    max_body_bytes: int = Field(default=1 << 20, ge=1024, description="Largest request body.")
    max_connections: int = Field(
        default=1024, ge=1, description="Connections open at once; the next ones are answered 503."
    )
    request_seconds: float = Field(
        default=10,
        gt=0,
        description="Time limit for headers, for the body, and for a client that stops reading.",
    )
    idle_seconds: float = Field(default=60, gt=0, description="How long a connection without a request stays open.")
    shutdown_seconds: int = Field(
        default=10, ge=0, description="Time for running requests to be answered after SIGTERM."
    )


def misspelt_settings() -> list[str]:
    """A line for each environment variable that is nearly the name of a setting."""
    names = [PREFIX + name.upper() for name in Settings.model_fields]
    others = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in names)
    near = ((name, get_close_matches(name, names, n=1, cutoff=0.8)) for name in others)
    return [f"the environment variable {name} is no setting: did you mean {found[0]}?" for name, found in near if found]


def read_settings() -> Settings:
    """The settings that the environment gives.

    Raises:
        InputError: a variable with a value that does not fit; the message names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = PREFIX + str(fault["loc"][0]).upper()
        reason = fault["msg"].partition(", unable to parse")[0].replace("Input should be", "wanted")
        raise InputError(f"the environment variable {name} is {str(fault['input'])!r:.60}: {reason}") from None
