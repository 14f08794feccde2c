"""What does `lsr history` do? It lists the generations to which one can go back."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.table import Table

from lsr.cli.changing.sources import AsJson, Folder, opened
from lsr.cli.console import out, print_json
from lsr.retrieval import Changes


def command(
    folder: Folder,
    as_json: AsJson = False,
) -> None:
    """List the last changes of an index; lsr rollback goes back to one.

    Example: lsr history my-index
    """
    with opened(folder) as collection:
        found = collection.history()
    if as_json:
        rows = [{"generation": n, "made": _time(i.made), "verb": i.verb, **i.counts} for n, i in found.items()]
        print_json({"generations": rows})
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("generation", justify="right")
    for name in ("made", "by", "documents"):
        table.add_column(name)
    for number, info in found.items():
        counts = str(Changes(**info.counts)) if info.counts else ""
        table.add_row(str(number), _time(info.made), info.verb, counts)
    out.print(table)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
