"""What does `lsr search` do? Asks once and shows the hits, with the words and terms that made them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lsr.cli.console import one_line, out, print_json, say
from lsr.errors import InputError
from lsr.index.fields.facets import Facet
from lsr.retrieval import Hit, Page, Searcher, Snippet, TermShare
from lsr.sparse import SparseMatrix

SHOWN_TERMS = 12
WIDE = 70  # columns of a screen that has room for bars


def command(  # noqa: PLR0913 - one parameter an option
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an index.")],
    query: Annotated[list[str], typer.Argument(metavar="QUERY", help="What to look for; several words are one query.")],
    k: Annotated[int, typer.Option("-k", help="Number of hits.", min=1)] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    exact: Annotated[bool, typer.Option("--exact", help="Search exactly, the default without --recall.")] = False,
    recall: Annotated[
        float | None, typer.Option(help="Share of the true top k to find on average, such as 0.95 (see lsr tune).")
    ] = None,
    explained: Annotated[bool, typer.Option("--explain", help="Show what each term adds to a score.")] = False,
    filter_text: Annotated[
        str | None,
        typer.Option("--filter", metavar="TEXT", help="Only documents that meet it, as 'price < 20 and in_stock'."),
    ] = None,
    offset: Annotated[int, typer.Option(help="Leave out this many of the best hits.", min=0)] = 0,
    cursor: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Of the page before, from --json: show the next one.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="FIELD", help="Sort by a field; -FIELD puts the largest first.")
    ] = None,
    facets: Annotated[
        str | None, typer.Option(metavar="FIELD,...", help="Count the values of fields over the documents found.")
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(metavar="FIELD", help="Of documents that share a value show the best one.")
    ] = None,
    generation: Annotated[
        int | None, typer.Option(help="Search an earlier generation, one that lsr history lists.")
    ] = None,
) -> None:
    """Search an index and show why each hit was found.

    Example: lsr search my-index "rotten teeth from eating sweets" --explain
    """
    text = " ".join(query).encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # not UTF-8 in the shell
    searcher = Searcher.open(folder, generation=generation)
    vector = searcher.encode(text)
    # A process that asks once finds everything as soon: exact search of most indexes does without the compiler.
    options: dict[str, Any] = {"exact": exact or recall is None, "recall": recall, "filter": filter_text, "sort": sort}
    options["group_by"] = group_by
    hits, following = _page(searcher, vector, k, offset, cursor, options)
    counted = _facets(searcher, vector, filter_text, facets.split(",")) if facets else []
    if as_json:
        records = [_record(searcher, text, vector, hit, explained) for hit in hits]
        more: dict[str, Any] = {"cursor": following} if following else {}
        more |= {"facets": [*map(_facet_record, counted)]} if facets else {}
        print_json({"query": text, "hits": records, **more})
        return
    if not hits:
        say(_why_nothing(searcher, text, vector, filter_text, offset))
    for number, hit in enumerate(hits, 1 + offset):
        _print_hit(number, hit, searcher.snippet(vector, hit))
        if explained:
            out.print(Padding(_shares_table(hit, searcher.explain(text, hit)), (0, 0, 1, 0), expand=False))
    for one in counted:
        out.print(_facet_line(one), soft_wrap=True)


def _page(
    searcher: Searcher, vector: SparseMatrix, k: int, offset: int, cursor: str | None, options: dict[str, Any]
) -> Page:
    """Hits after an offset or a cursor."""
    if not offset:
        return searcher.page(vector, k, cursor=cursor, **options)
    if cursor is not None:
        raise InputError("--offset and --cursor exclude each other: a cursor says where the next page begins")
    return Page(searcher.search(vector, k, offset=offset, **options), None)


def _facets(searcher: Searcher, vector: SparseMatrix, filter_: str | None, names: Sequence[str]) -> list[Facet]:
    """Counts over every document that has a term of the query and meets the filter."""
    return searcher.generation.facets(names, searcher.found(vector, filter_))


def _facet_record(one: Facet) -> dict[str, Any]:
    values = [{"value": value, "documents": count} for value, count in one.counts]
    ranges = [part._asdict() for part in one.ranges]
    return {**one._asdict(), "counts": values, "ranges": ranges}


def _facet_line(one: Facet) -> Text:
    """A field and its values in one line: words with their counts, or ranges."""
    counts = [f"{value} ({count:,})" for value, count in one.counts]
    counts += [f"{part.low} to {part.high} ({part.documents:,})" for part in one.ranges]
    rest = f", {one.distinct - len(one.counts):,} more" if one.distinct > len(one.counts) else ""
    missing = f"; without: {one.missing:,}" if one.missing else ""
    return Text.assemble((f"{one.field}  ", "bold"), f"{', '.join(counts) or 'no values'}{rest}{missing}")


def _why_nothing(searcher: Searcher, query: str, vector: SparseMatrix, filter_: str | None, offset: int) -> str:
    """What is known of a query without hits."""
    if offset and (found := searcher.found(vector, filter_).count):
        return f"no hits after the first {offset:,}: the query {query!r} has {found:,}"
    if filter_ is not None and searcher.found(vector).count:
        return f"no hits: no document with a term of the query {query!r} meets the filter"
    limit = searcher.encoder.longest if searcher.generation.summary.about.summary.get("truncated") else None
    asked = limit and any(character.isalnum() for character in query)
    unread = f" (of a long document the first {limit:,} word-pieces are read)" if asked else ""
    if not vector.nnz:
        return f"no hits: no word of the query {query!r} has a term in the index{unread}"
    # Vectors of others may have negative weights: such a document has the term, and is no hit.
    has = "scores above 0 for" if searcher.encoder.name == "given vectors" else "was indexed with"
    return f"no hits: no document {has} a term of the query {query!r}{unread}"


def _print_hit(number: int, hit: Hit, found: Snippet) -> None:
    name = one_line(hit.title or hit.id)
    out.print(Text.assemble((f"{number:>2}  ", "dim"), (name, "bold"), (f"  {hit.score:.4f}", "green")))
    if about := ", ".join(filter(None, (one_line(hit.id) if hit.title else "", _place(hit)))):
        out.print(Text(f"    {about}", "dim"))
    text = Text(found.text) if out.is_terminal else Text(found.marked("**", "**"))
    for start, end in found.marks if out.is_terminal else ():
        text.stylize("bold yellow", start, end)
    out.print(Padding(text, (0, 0, 1, 4), expand=False))


def _place(hit: Hit) -> str:
    """Where in its document the best passage is, and how many others were found."""
    if not hit.passages:
        return ""
    best, others = hit.passages[0], len(hit.passages) - 1
    more = f", and {others} more" if others else ""
    return f"passage {best.number}: characters {best.start:,} to {best.end:,}{more}"


def _shares_table(hit: Hit, shares: list[TermShare]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_footer=True, header_style="dim", footer_style="dim")
    table.add_column("    term", footer="    score", overflow="fold", min_width=12)
    for name in ("query", "document"):
        table.add_column(name, justify="right")
    table.add_column("share", justify="right", footer=f"{hit.score:.4f}")
    if out.width >= WIDE:
        table.add_column("")
    for share in shares[:SHOWN_TERMS]:
        numbers = (f"{value:.4f}" for value in share[1:])
        table.add_row(f"    {share.term}", *numbers, *_bar(share, hit))
    if rest := shares[SHOWN_TERMS:]:
        table.add_row(f"    {len(rest)} more terms", "", "", f"{sum(share.share for share in rest):.4f}")
    return table


def _bar(share: TermShare, hit: Hit) -> list[str]:
    """A bar as long as the share, where the screen has room."""
    return ["█" * max(1, round(20 * share.share / hit.score))] if out.width >= WIDE else []


def _record(searcher: Searcher, query: str, vector: SparseMatrix, hit: Hit, explained: bool) -> dict[str, Any]:
    part = searcher.snippet(vector, hit)
    record = {**hit._asdict(), "snippet": part.text, "marks": part.marks}
    if explained:
        record["terms"] = [share._asdict() for share in searcher.explain(query, hit)]
    record.pop("row")
    if hit.passages:
        record["passages"] = [{k: v for k, v in one._asdict().items() if k != "row"} for one in hit.passages]
    else:
        del record["passages"]
    return record
