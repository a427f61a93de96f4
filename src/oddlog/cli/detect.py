"""`oddlog detect`: say what is odd."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SOMETHING_ODD = 3


def detect(
    paths: Annotated[
        list[str], typer.Argument(help="Files, globs, directories, loki+URL, es+URL, or - for standard input.")
    ],
    model: Annotated[Path, typer.Option("-m", "--model", help="A model made by oddlog fit.")],
    scores: Annotated[Path | None, typer.Option(help="Write a verdict per window to this Parquet file.")] = None,
    line_scores: Annotated[Path | None, typer.Option(help="Write a verdict per line to this Parquet file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write what was found as one HTML page to this file.")] = None,
    threshold: Annotated[
        str, typer.Option(help="What judges windows: learned, or rolling with the windows before them.")
    ] = "learned",
    exclude: Annotated[str, typer.Option(help="SQL condition for records to leave out, besides the model's.")] = "",
    since: Annotated[str, typer.Option(help="Only records from this time on: 2026-03-01 or 7d.")] = "",
    until: Annotated[str, typer.Option(help="Only records before this time.")] = "",
    format: Annotated[str, typer.Option(help="Format of the lines; found per source if not given.")] = "",  # noqa: A002 - the option's name
    limit: Annotated[int, typer.Option(help="Show at most so many incidents on the screen.", min=0)] = 20,
    *,
    all: Annotated[bool, typer.Option("--all", help="Show also what was called usual or muted.")] = False,  # noqa: A002 - the option's name
    json: Annotated[bool, typer.Option("--json", help="JSON lines, also on a terminal.")] = False,
    fail_on_anomaly: Annotated[bool, typer.Option("--fail-on-anomaly", help="Exit with 3 if anything is odd.")] = False,
) -> None:
    """Say what is odd, most pressing first, with reasons. JSON lines when piped.

    [dim]Example: oddlog detect today.log.gz -m app.model --scores scores.parquet[/dim]
    """
    from oddlog.cli import overlay, prepare, show

    prepare()
    if report is not None:
        from oddlog.reports import check_report, write_report

        check_report(report)
    loaded, found = overlay.detected(
        model,
        paths,
        format=format,
        exclude=exclude,
        since=since,
        until=until,
        scores=scores,
        line_scores=line_scores,
        threshold=threshold,
        overview=report is not None,
    )
    if report is not None:
        write_report(found, loaded, report)
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.tell_notes(found.notes)
            for incident in found.incidents + (found.hidden if all else ()):
                show.print_json(show.incident_json(incident), one_line=True)
        else:
            show.print_detection(found, limit, every=all)
    if fail_on_anomaly and found.incidents:
        raise typer.Exit(SOMETHING_ODD)
