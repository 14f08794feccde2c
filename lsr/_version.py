"""Which version is this? The one of the installed distribution."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("lsr-engine")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
