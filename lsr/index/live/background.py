"""How is a segment written beside searches and changes? By this program, with a plan on standard input.

    python -m lsr.index.live.background FOLDER < plan.json

It prints what is known of the segment; whoever started it publishes it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from lsr.errors import LsrError
from lsr.index.live.contents import Contents
from lsr.index.live.merging import Plan, write_merged
from lsr.index.storage.catalogue import Catalogue
from lsr.index.storage.faults import writing


def main() -> int:
    """Read, write, say; 1 where that cannot be, with the reason on standard error."""
    os.nice(10)
    folder = Path(sys.argv[1])
    plan = Plan(**msgspec.json.decode(sys.stdin.buffer.read(), type=dict[str, Any]))
    try:
        with writing(folder), Catalogue(folder) as database:
            info = write_merged(Contents(folder, database), plan)
    except LsrError as error:
        shutil.rmtree(folder / plan.target, ignore_errors=True)
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(info))
    return 0


if __name__ == "__main__":
    sys.exit(main())
