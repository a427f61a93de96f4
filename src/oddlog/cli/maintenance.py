"""`oddlog maintenance`: announce it, list what is announced, end it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from oddlog.feedback import Settings

MODEL = typer.Option("-m", "--model", help="The model that judges; of a service DATA/models/current.")
WHO = typer.Option(help="Who says so; your login name if not given.")
JSON = typer.Option("--json", help="JSON lines, also on a terminal.")

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback(epilog="Example: oddlog maintenance announce --host db-2 --for 2h -m app.model")
def maintenance() -> None:
    """Announce maintenance: what begins in it and does not outlast it is kept, and not told."""


@app.command("announce")
def announce(
    model: Annotated[Path, MODEL],
    service: Annotated[str, typer.Option(help="Of these services: web, or 'pay-*, gateway'.")] = "",
    host: Annotated[str, typer.Option(help="Of these hosts, also that they are silent: db-2, or 'db-*'.")] = "",
    source: Annotated[str, typer.Option(help="Of what these sources bring, also that they are silent.")] = "",
    match: Annotated[str, typer.Option(help="Only what all of whose odd lines match this regular expression.")] = "",
    pattern: Annotated[str, typer.Option(help="Only of this pattern.")] = "",
    start: Annotated[
        str, typer.Option("--from", help="From when: 2026-03-09T22:00Z, or 22:00 (UTC) each day; now if not given.")
    ] = "",
    end: Annotated[str, typer.Option("--to", help="To when, likewise.")] = "",
    length: Annotated[str, typer.Option("--for", help="Or for how long: 30min, 2h.")] = "",
    days: Annotated[str, typer.Option(help="On which days, with times of day: sat,sun; each day if not given.")] = "",
    name: Annotated[str, typer.Option(help="What it is called.")] = "",
    who: Annotated[str, WHO] = "",
    *,
    json: Annotated[bool, JSON] = False,
) -> None:
    """Announce that something is worked on; a service or a `watch` that runs heeds it within a second.

    [dim]Example: oddlog maintenance announce --service 'pay-*' --days sat --from 22:00 --to 02:00 -m app.model[/dim]
    """
    from oddlog.cli import overlay, show
    from oddlog.feedback import Setting
    from oddlog.pipeline.live.maintenance import settled
    from oddlog.pipeline.live.rulebook import entry_of

    said = {"name": name, "service": service, "host": host, "source": source, "match": match, "pattern": pattern}
    fields: dict[str, Any] = {word: text for word, text in said.items() if text}
    fields |= {word: text for word, text in (("from", start), ("to", end), ("for", length)) if text}
    fields |= {"days": [day.strip() for day in days.split(",")]} if days else {}
    now = datetime.now(UTC)
    fields = settled(fields, now)
    entry = entry_of("maintenance", fields)
    setting = Setting("maintenance", fields, now, who or overlay.who())
    number = _settings(model).add(setting)
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json({"n": number} | setting.record(), one_line=True)
        else:
            told = f"{number}: {entry.says}. To end it: oddlog maintenance end {number} -m {model}"
            show.console().print(told, markup=False)


@app.command("list")
def list_(model: Annotated[Path, MODEL], *, json: Annotated[bool, JSON] = False) -> None:
    """List what is announced, and does not lie in the past.

    [dim]Example: oddlog maintenance list -m app.model[/dim]
    """
    from oddlog.cli import show
    from oddlog.pipeline.live.maintenance import Maintenance
    from oddlog.pipeline.live.rulebook import entry_of

    now, rows = datetime.now(UTC), []
    for number, one in _settings(model).standing:
        entry = entry_of(one.kind, one.fields) if one.kind == "maintenance" else None
        if isinstance(entry, Maintenance) and (entry.end is None or entry.end > now):
            rows.append({"n": number, "name": entry.name, "says": entry.says, "who": one.who})
    with show.until_nobody_reads():
        empty = "Nothing is announced. Announce it: oddlog maintenance announce --host HOST --for 2h -m MODEL"
        if not show.left_for_people(rows, empty, json=json):
            return
        import polars as pl

        show.print_frame(pl.DataFrame(rows), right=("n",))


@app.command("end")
def end_(
    number: Annotated[int, typer.Argument(help="Its number; see oddlog maintenance list.", min=1)],
    model: Annotated[Path, MODEL],
    who: Annotated[str, WHO] = "",
    *,
    json: Annotated[bool, JSON] = False,
) -> None:
    """End maintenance that was announced, or take it back.

    [dim]Example: oddlog maintenance end 3 -m app.model[/dim]
    """
    from oddlog.cli import overlay, show
    from oddlog.errors import ConfigError

    settings = _settings(model)
    kinds = {n: one.kind for n, one in settings.standing}
    if kinds.get(number) != "maintenance":
        raise ConfigError(f"There is no maintenance number {number}.", f"See oddlog maintenance list -m {model}")
    ended = settings.undo(number, who=who or overlay.who())
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json({"ended": ended.record()}, one_line=True)
        else:
            show.console().print(f"Ended: number {number}.", markup=False)


def _settings(model: Path) -> Settings:
    from oddlog.feedback import Settings, beside
    from oddlog.model import require_model

    require_model(model)
    return Settings.load(beside(model, "rules"))
