"""How is an index asked over HTTP? `create_app(searcher)` gives a FastAPI application; nothing happens at import."""

from lsr.api.app import create_app
from lsr.api.settings import Settings, misspelt_settings, read_settings

__all__ = ["Settings", "create_app", "misspelt_settings", "read_settings"]
