"""`oddlog mark`: say when something was deployed; list and undo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from oddlog.feedback import Mark

MODEL = typer.Option("-m", "--model", help="The model of the logs that are marked.")
WHO = typer.Option(help="Who says so; your login name if not given.")
JSON = typer.Option("--json", help="JSON lines, also on a terminal.")

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback(epilog="Example: oddlog mark deploy payments 3.8.0 --at 2026-03-09T12:30Z -m app.model")
def mark() -> None:
    """Mark a deployment: what is new since then becomes one incident, with rates before and after."""


@app.command("deploy")
def deploy(
    service: Annotated[str, typer.Argument(help="The service, as it is called in the logs.")],
    version: Annotated[str, typer.Argument(help="What was deployed.")],
    model: Annotated[Path, MODEL],
    at: Annotated[str, typer.Option(help="When: 2026-03-09T12:30Z, or how long ago: 2h; now if not given.")] = "",
    within: Annotated[str, typer.Option(help="For how long what is new is put down to it: 30min, 1d.")] = "1d",
    who: Annotated[str, WHO] = "",
    *,
    json: Annotated[bool, JSON] = False,
) -> None:
    """Mark that a version of a service was deployed.

    [dim]Example: oddlog mark deploy payments 3.8.0 --at 2026-03-09T12:30Z -m app.model[/dim]
    """
    from oddlog.cli import overlay, show
    from oddlog.config import parse_duration, parse_time
    from oddlog.feedback import Mark

    marks = overlay.marks(model)
    _tell_unknown(model, service)
    now = datetime.now(UTC)
    time = parse_time(at, now=now) if at else now
    given = Mark(service, version, time, timedelta(seconds=parse_duration(within)), who or overlay.who())
    number = marks.add(given)
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json({"n": number} | given.record(), one_line=True)
        else:
            said = f"{number}: {given.says} at {_when(given)}. To take it back: oddlog mark undo {number}"
            show.console().print(said, markup=False)


@app.command("list")
def list_(
    model: Annotated[Path, MODEL],
    *,
    all: Annotated[bool, typer.Option("--all", help="Also what was undone.")] = False,  # noqa: A002 - the option's name
    json: Annotated[bool, JSON] = False,
) -> None:
    """List the marks.

    [dim]Example: oddlog mark list -m app.model[/dim]
    """
    from oddlog.cli import overlay, show

    marks = overlay.marks(model)
    rows = [
        {"n": number, "state": "undone" if one.name in marks.undone else "holds"} | one.record()
        for number, one in enumerate(marks.given, 1)
        if all or one.name not in marks.undone
    ]
    with show.until_nobody_reads():
        empty = "No marks. Set one with: oddlog mark deploy SERVICE VERSION -m MODEL"
        if not show.left_for_people(rows, empty, json=json):
            return
        import polars as pl

        names = ("n", "mark", "service", "version", "time", "within", "who", "state")
        cells = [row | {"within": f"{float(row['within_s']) / 3600:g} h"} for row in rows]
        frame = pl.DataFrame([{name: row[name] for name in names} for row in cells])
        show.print_frame(frame.with_columns(pl.col("time").dt.strftime("%Y-%m-%d %H:%M:%S")), right=("n", "within"))


@app.command("undo")
def undo(
    number: Annotated[int, typer.Argument(help="Number of the mark; see oddlog mark list.", min=1)],
    model: Annotated[Path, MODEL],
    who: Annotated[str, WHO] = "",
    *,
    json: Annotated[bool, JSON] = False,
) -> None:
    """Take back a mark.

    [dim]Example: oddlog mark undo 2 -m app.model[/dim]
    """
    from oddlog.cli import overlay, show

    undone = overlay.marks(model).undo(number, who=who or overlay.who())
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json({"undone": undone.record()}, one_line=True)
        else:
            show.console().print(f"Undone: {undone.says} at {_when(undone)}.", markup=False)


def _when(one: Mark) -> str:
    return f"{one.time:%Y-%m-%d %H:%M:%S} UTC"


def _tell_unknown(model: Path, service: str) -> None:
    """Say that the model knows no such service: a new one is fine, a slip is not."""
    import logging

    from oddlog.errors import did_you_mean
    from oddlog.model import load

    known = [name for name in load(model).context.services if name]
    if service not in known:
        hint = did_you_mean(service, known[:20]) if known else "It knows none."
        logging.getLogger("oddlog").warning("The model knows no service '%s'. %s", service, hint)
