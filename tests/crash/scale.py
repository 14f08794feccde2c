"""Does everything run, as by `make crash`, or what CI has time for?"""

from __future__ import annotations

import os

SCALED = int(os.environ.get("LSR_CRASH", "1")) > 1
