"""`oddlog update`: learn more into a new model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def update(
    old: Annotated[Path, typer.Argument(metavar="MODEL", help="The model to go on from; it stays as it is.")],
    paths: Annotated[list[str], typer.Argument(help="New logs: files, globs, directories, loki+URL, es+URL, or -.")],
    model: Annotated[Path, typer.Option("-m", "--model", help="Where to write the new model (a folder).")],
    format: Annotated[str, typer.Option(help="Format of the lines; the model's, else found per source.")] = "",  # noqa: A002 - the option's name
    since: Annotated[str, typer.Option(help="Only records from this time on: 2026-03-01 or 7d.")] = "",
    until: Annotated[str, typer.Option(help="Only records before this time.")] = "",
    *,
    json: Annotated[bool, typer.Option("--json", help="Print what was learned as JSON.")] = False,
) -> None:
    """Learn more into a new model, which keeps the answers and the marks.

    [dim]Example: oddlog update app.model /var/log/app/today.log -m next.model[/dim]
    """
    from oddlog import pipeline
    from oddlog.cli import overlay, prepare, show
    from oddlog.model import check_destination, load

    prepare()
    overlay.require_other(old, model)
    check_destination(model)
    answers = overlay.answers(old)
    with show.progress() as progress:
        learned = pipeline.update(
            load(old), paths, format=format, since=since, until=until, answers=answers, progress=progress
        )
        learned.save(model)
    overlay.hand_on(old, model)
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json(show.model_json(learned))
        else:
            show.print_model(learned, str(model))
