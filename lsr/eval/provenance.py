"""Where and with what was this measured? Versions, machine, date."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lsr._version import __version__

PACKAGES = ("numpy", "numba", "ir-measures", "tokenizers", "PyStemmer", "torch", "onnxruntime")


def provenance() -> dict[str, Any]:
    """``made`` (UTC), ``versions`` by package and ``machine``."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return {"made": made, "versions": versions(), "machine": machine()}


def versions() -> dict[str, str]:
    """Of lsr, Python and the packages that decide results, as far as they are installed."""
    found = {"lsr": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Processor, processors that this process may use, memory in GB, system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = len(os.sched_getaffinity(0))
    return {"processor": _processor(), "cores": cores, "memory_gb": round(memory, 1), "system": platform.platform()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
