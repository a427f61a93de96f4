"""`oddlog datasets`: labelled logs to measure on: list, fetch, prepare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JSON = typer.Option("--json", help="JSON, also on a terminal.")

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback(epilog="Example: oddlog datasets fetch hdfs --to data && oddlog datasets prepare hdfs --data data")
def datasets() -> None:
    """Labelled logs to measure on: what there is, fetching them from public records, preparing them."""


@app.command("list")
def list_(*, json: Annotated[bool, JSON] = False) -> None:
    """List the sets: what they are, whether they can be fetched, whose terms they come under.

    [dim]Example: oddlog datasets list[/dim]
    """
    import polars as pl

    from oddlog.cli import show
    from oddlog.datasets import KNOWN

    rows = [
        {
            "set": name,
            "is": one.about.title,
            "from": one.record.name if one.record else ("a folder" if one.folder else "made here"),
            "terms": one.about.terms,
            "cite": one.about.cite,
            "url": one.record.url if one.record else "",
            "bytes": one.record.size if one.record else 0,
            "md5": one.record.md5 if one.record else "",
        }
        for name, one in KNOWN.items()
    ]
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json(rows)
        else:
            show.print_frame(pl.DataFrame(rows).select("set", "is", "from", "terms"))


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(help="The set; see oddlog datasets list.")],
    to: Annotated[Path, typer.Option(help="A folder for raw files.")] = Path("data"),
) -> None:
    """Fetch a set from its public record; what was cut off goes on where it was.

    [dim]Example: oddlog datasets fetch hdfs --to data[/dim]
    """
    from oddlog.cli import show
    from oddlog.datasets.registry import fetch_set, known

    record = known(name).record
    out = show.console()
    if record is not None:
        out.print(f"{record.name} comes under: {record.licence}", markup=False)
    with show.progress() as progress:

        def say(come: int, of: int) -> None:
            progress(f"fetching {name}{f', {of / 1e6:,.0f} MB' if of else ''}: MB", come // 1_000_000)

        folder = fetch_set(name, to, say=say)
    with show.until_nobody_reads():
        out.print(f"Fetched to {folder}. Next: oddlog datasets prepare {name} --data {to}", markup=False)


@app.command("prepare")
def prepare(
    name: Annotated[str, typer.Argument(help="The set; see oddlog datasets list.")],
    data: Annotated[Path, typer.Option(help="The folder of raw files.")] = Path("data"),
    to: Annotated[Path, typer.Option(help="Where prepared sets lie.")] = Path("bench/sets"),
) -> None:
    """Write a set as a folder of raw logs with their labels beside them, as the bench reads it.

    [dim]Example: oddlog datasets prepare hdfs --data data[/dim]
    """
    from oddlog.cli import show
    from oddlog.datasets import prepare as write_set

    made = write_set(name, data, to)
    with show.until_nobody_reads():
        told = f"{made.folder}: {len(made.sources)} files of logs, labelled by {made.labelled_by}. {made.about.terms}"
        show.console().print(told, markup=False)
