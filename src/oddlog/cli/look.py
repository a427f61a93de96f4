"""`oddlog templates`, `oddlog inspect`, `oddlog formats`: look inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PATHS = typer.Argument(help="Files, globs, directories, loki+URL, es+URL, or - for standard input.")


def templates(
    paths: Annotated[list[str], PATHS],
    format: Annotated[str, typer.Option(help="Format of the lines; found per source if not given.")] = "",  # noqa: A002 - the option's name
    limit: Annotated[int, typer.Option(help="Show at most so many.", min=0)] = 50,
    *,
    json: Annotated[bool, typer.Option("--json", help="JSON lines, also on a terminal.")] = False,
) -> None:
    """Show the message types of some logs, the most frequent first.

    [dim]Example: oddlog templates app.log --limit 20[/dim]
    """
    from oddlog.cli import prepare, show
    from oddlog.pipeline.looking import templates_of

    prepare()
    with show.progress() as progress:
        frame, tally = templates_of(paths, format=format, progress=progress)
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_rows(frame)
            return
        show.print_frame(frame.head(limit), right=("lines",))
        if len(frame) > limit:
            show.console().print(f"… and {len(frame) - limit:,} more: --limit {len(frame)} shows all.")
        show.print_tally(tally)


def formats(
    paths: Annotated[list[str], PATHS],
    *,
    json: Annotated[bool, typer.Option("--json", help="JSON lines, also on a terminal.")] = False,
) -> None:
    """Show the format found in each source, with its confidence and a record as it is understood.

    [dim]Example: oddlog formats /var/log/*.log[/dim]
    """
    from oddlog.cli import prepare, show
    from oddlog.pipeline.looking import formats_of

    prepare()
    frame, tally = formats_of(paths)
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_rows(frame)
            return
        for row in frame.iter_rows(named=True):
            time = f"{row['time']:%Y-%m-%d %H:%M:%S}" if row["time"] else "no time"
            host = f"on {row['host']}" if row["host"] else ""
            record = " ".join(filter(None, (time, row["level"], row["service"], host)))
            show.print_entry(f"{row['source']}  {row['format']} ({row['confidence']:.2f})", record, row["message"])
        show.print_tally(tally)


def inspect(
    model: Annotated[Path, typer.Argument(help="A model made by oddlog fit.")],
    *,
    json: Annotated[bool, typer.Option("--json", help="As JSON, also on a terminal.")] = False,
) -> None:
    """Show what a model was learned from, and how.

    [dim]Example: oddlog inspect app.model[/dim]
    """
    from oddlog.cli import show
    from oddlog.model import load

    loaded = load(model)
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json(show.model_json(loaded))
        else:
            show.print_model(loaded, str(model))
            show.print_inside(loaded)
