"""`oddlog report`: what is odd, as a page to read and send."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    paths: Annotated[
        list[str], typer.Argument(help="Files, globs, directories, loki+URL, es+URL, or - for standard input.")
    ],
    model: Annotated[Path, typer.Option("-m", "--model", help="A model made by oddlog fit.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the page.")] = Path("report.html"),
    labels: Annotated[
        Path | None, typer.Option(help="CSV key,label of windows: the page says how well the verdicts agree.")
    ] = None,
    threshold: Annotated[
        str, typer.Option(help="What judges windows: learned, or rolling with the windows before them.")
    ] = "learned",
    exclude: Annotated[str, typer.Option(help="SQL condition for records to leave out, besides the model's.")] = "",
    since: Annotated[str, typer.Option(help="Only records from this time on: 2026-03-01 or 7d.")] = "",
    until: Annotated[str, typer.Option(help="Only records before this time.")] = "",
    format: Annotated[str, typer.Option(help="Format of the lines; found per source if not given.")] = "",  # noqa: A002 - the option's name
) -> None:
    """Say what is odd in one HTML page that needs nothing else: patterns, lines in context, time lines, scores.

    [dim]Example: oddlog report today.log.gz -m app.model -o today.html[/dim]
    """
    from rich.markup import escape

    from oddlog.cli import overlay, prepare, show
    from oddlog.pipeline.learning.labels import to_judge
    from oddlog.reports import check_report, write_report

    prepare()
    check_report(output)
    known, one_kind = to_judge(labels) if labels is not None else (None, "")
    show.tell_notes([one_kind] if one_kind else ())
    loaded, found = overlay.detected(
        model,
        paths,
        format=format,
        exclude=exclude,
        since=since,
        until=until,
        threshold=threshold,
        overview=True,
    )
    write_report(found, loaded, output, labels=known)
    with show.until_nobody_reads():
        show.tell_notes(found.notes)
        show.console().print(f"{found.says}. Written to [bold]{escape(str(output))}[/bold]")
