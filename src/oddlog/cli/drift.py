"""`oddlog drift`: how far logs have gone from what a model learned, and in what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from oddlog.pipeline.drifting import Drift

MOST_SERVICES = 20


def drift(
    paths: Annotated[
        list[str], typer.Argument(help="Files, globs, directories, loki+URL, es+URL, or - for standard input.")
    ],
    model: Annotated[Path, typer.Option("-m", "--model", help="A model made by oddlog fit.")],
    since: Annotated[str, typer.Option(help="Only records from this time on: 2026-03-01 or 7d.")] = "",
    until: Annotated[str, typer.Option(help="Only records before this time.")] = "",
    format: Annotated[str, typer.Option(help="Format of the lines; found per source if not given.")] = "",  # noqa: A002 - the option's name
    exclude: Annotated[str, typer.Option(help="SQL condition for records to leave out, besides the model's.")] = "",
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, also on a terminal.")] = False,
) -> None:
    """Say what has drifted since a model was learned: message types, levels, rates, values, scores.

    [dim]Example: oddlog drift /var/log/app/ -m app.model --since 7d[/dim]
    """
    from oddlog.cli import prepare, show
    from oddlog.errors import ModelError
    from oddlog.model import load
    from oddlog.pipeline import detect

    prepare()
    loaded = load(model)
    if loaded.rates is None or loaded.rates.drift is None:
        raise ModelError(
            "The model knows nothing of usual hours, so what drifts from them cannot be told.",
            "Learn it anew from three hours of lines with times, or more: oddlog fit",
        )
    with show.progress() as progress:
        found = detect(loaded, paths, format=format, exclude=exclude, since=since, until=until, progress=progress).drift
    if found is None:
        from oddlog.errors import InputError

        raise InputError("These lines have no times, so it cannot be told what drifts.", "Name their --format.")
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json(found.as_dict())
        else:
            print_drift(found, f"oddlog update {model} {' '.join(paths)} -m next.model")


def print_drift(found: Drift, learn_on: str) -> None:
    """Print what has drifted, for people; `learn_on` is the command that does."""
    import polars as pl

    from oddlog.cli import show

    out = show.console()
    if not found.drifted:
        out.print(found.says, markup=False)
    for one in found.drifted:
        head = f"{one.service or 'all services'}: {one.of}, since {one.since:%Y-%m-%d %H:%M} ({one.hours:,.0f} hours)"
        show.print_entry(head, one.says)
    if found.figures:
        rows = [
            {
                "service": one.service or "all services",
                "lines_a_minute": f"{one.lines:,.3g}",
                "usual": f"{one.usual_lines:,.3g}",
                "errors": f"{one.errors:.1%}",
                "usual_errors": f"{one.usual_errors:.1%}",
                "unseen": f"{one.unseen:.1%}",
                "usual_unseen": f"{one.usual_unseen:.1%}",
            }
            for one in found.figures[: MOST_SERVICES + 1]
        ]
        out.print("\n[italic]The last hours, beside the same hours of training[/italic]")
        show.print_frame(pl.DataFrame(rows), right=tuple(rows[0])[1:])
    for rolled in found.rolling:
        if rolled.windows:
            out.print(rolled.says, markup=False)
    if found.proposal:
        out.print(f"\n{show.plain(found.proposal)}\n  {show.plain(learn_on)}", markup=False)
