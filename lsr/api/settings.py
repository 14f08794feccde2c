"""Which limits does the service keep? Fields of `Settings`, each also an environment variable LSR_..."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Limits of the service; the environment variable of a field is LSR_ and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="LSR_")

    max_k: int = Field(default=1000, ge=1, description="Most hits that one search may ask for.")
    max_query_characters: int = Field(default=8192, ge=1, description="Longest query text.")
