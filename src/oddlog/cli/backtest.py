"""`oddlog backtest`: what would have fired, had it been watched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import polars as pl

    from oddlog.pipeline.judging.backtesting import Backtest, Fired

MOST_DAYS = 14  # columns of the table; the JSON has all
MOST_SERVICES = 20


def backtest(
    paths: Annotated[
        list[str], typer.Argument(help="Files, globs, directories, loki+URL, es+URL, or - for standard input.")
    ],
    model: Annotated[Path, typer.Option("-m", "--model", help="A model made by oddlog fit.")],
    budget: Annotated[str, typer.Option(help="How many incidents a day you want to be told.")] = "5/day",
    threshold: Annotated[
        str, typer.Option(help="What judges windows: learned, or rolling with the windows before them.")
    ] = "learned",
    since: Annotated[str, typer.Option(help="Only records from this time on: 2026-03-01 or 7d.")] = "",
    until: Annotated[str, typer.Option(help="Only records before this time.")] = "",
    format: Annotated[str, typer.Option(help="Format of the lines; found per source if not given.")] = "",  # noqa: A002 - the option's name
    exclude: Annotated[str, typer.Option(help="SQL condition for records to leave out, besides the model's.")] = "",
    limit: Annotated[int, typer.Option(help="How many of those told to show, the most pressing first.", min=0)] = 10,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, also on a terminal.")] = False,
) -> None:
    """Say what would have fired on logs that are there already, by service and day, and what which budget would hold.

    [dim]Example: oddlog backtest /var/log/app/ -m app.model --since 7d --budget 5/day[/dim]
    """
    from oddlog.cli import overlay, prepare, show
    from oddlog.config import parse_false_alarms
    from oddlog.model import load
    from oddlog.pipeline.judging.backtesting import backtest as run

    prepare()
    per_day = parse_false_alarms(budget, "--budget")
    answers, marks, loaded = overlay.answers(model), overlay.marks(model), load(model)
    with show.progress() as progress:
        found = run(
            loaded,
            paths,
            budget=per_day,
            since=since,
            until=until,
            format=format,
            exclude=exclude,
            threshold=threshold,
            answers=answers,
            marks=marks,
            progress=progress,
        )
    overlay.remember(model, found.detection)
    told = sorted((one for one in found.fired if one.told), key=lambda one: one.incident.order)
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.tell_notes(found.detection.notes)
            fired = [{"told": one.told, **show.incident_json(one.incident)} for one in found.fired]
            show.print_json({**found.json(), "fired": fired})
        else:
            _print(found, told[:limit])


def _print(found: Backtest, shown: Sequence[Fired]) -> None:
    from oddlog.cli import show

    out, told = show.console(), sum(one.told for one in found.fired)
    alerts = sum(one.told and one.incident.urgency == "alert" for one in found.fired)
    out.print(f"Judged {found.detection.says}{_span(found)}")
    for note in found.detection.notes:
        out.print(f"[yellow]{show.plain(note)}[/yellow]", markup=True)
    of = f"{told:,} of {show.several(len(found.fired), 'incident')}"
    daily = f", {told / found.days:.1f} a day" if found.days >= 1 else ""
    kinds = f"{show.several(alerts, 'alert')}, {show.several(told - alerts, 'notice')}"
    out.print(f"[bold]Would have fired at {found.budget:g}/day: {of}[/bold] ({kinds}{daily})")
    if found.fired:
        out.print(_rule(found.budget))
    for frame, title, right in ([_by_day(found)] if found.fired else []) + [_budgets(found)]:
        out.print(f"\n[italic]{title}[/italic]")
        show.print_frame(frame, right=right)
    out.print()
    for one in shown:
        incident = one.incident
        when = "" if incident.start is None else f"{incident.start:%Y-%m-%d %H:%M}  "
        why = incident.reasons[0].text if incident.reasons else ""
        show.print_entry(f"{when}{one.service}  {incident.id[: show.SHOWN_ID]}  {incident.urgency}", why)
    if not told:
        out.print("[green]Nothing would have fired.[/green]")


def _rule(budget: float) -> str:
    """Return what a budget lets through, and why that may be more than it; see `live.budget`."""
    return (
        f"Told is what is as pressing as the {max(round(budget * 7), 1):,} most pressing of the last 7 days, "
        f"and, when it comes, among the {budget:g} most pressing that were told in 24 hours. "
        "What worse will come is not known then: trifles that came first are told too, so that a day may bring more."
    )


def _span(found: Backtest) -> str:
    start, end = found.detection.start, found.detection.end
    return "" if start is None or end is None else f", {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"


def _by_day(found: Backtest) -> tuple[pl.DataFrame, str, tuple[str, ...]]:
    """Return the table of services and days: how many would have been told of how many."""
    import polars as pl

    services = found.by_service_and_day()
    days = sorted({day for by_day in services.values() for day in by_day})[-MOST_DAYS:]
    rows = [
        {"service": name, **{day: _cell(by_day.get(day)) for day in days}}
        for name, by_day in list(services.items())[:MOST_SERVICES]
    ]
    left = len(services) - len(rows)
    title = "Told of all incidents, by service and day they began"
    title += f" ({left:,} more services: --json)" if left else ""
    return pl.DataFrame(rows), title, tuple(days)


def _cell(counts: tuple[int, int] | None) -> str:
    return "" if counts is None else f"{counts[0]}/{counts[1]}"


def _budgets(found: Backtest) -> tuple[pl.DataFrame, str, tuple[str, ...]]:
    """Return the table of budgets."""
    import polars as pl

    rows = []
    for one in found.budgets:
        row: dict[str, object] = {
            "budget": f"{one.per_day:g}/day",
            "told": one.told,
            "alerts": one.alerts,
            "held_back": one.held,
            "least_severity": round(one.least, 1),
        }
        for view, noun in found.nouns.items():
            label = view if view == "entities" else noun
            row |= {f"{label}_above": one.odd.get(view, 0), f"{label}_threshold": round(one.thresholds[view], 2)}
        rows.append(row)
    frame = pl.DataFrame(rows)
    return frame, "What budgets would have held", tuple(frame.columns[1:])
