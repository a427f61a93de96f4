"""`oddlog tune`: search for the sizes and rates of the networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tune(
    paths: Annotated[list[str], typer.Argument(help="Usual logs: files, globs, directories, loki+URL, es+URL, or -.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the options found (TOML).")],
    detectors: Annotated[str, typer.Option(help="Comma-separated: which detectors to search for.")] = "lstm,next-event",
    trials: Annotated[int, typer.Option(help="Settings tried in the first of three rounds.", min=1, max=1_000)] = 12,
    journal: Annotated[
        Path | None, typer.Option(help="Finished trials, to go on from; beside the output if not given.")
    ] = None,
    format: Annotated[str, typer.Option(help="Format of the lines; found per source if not given.")] = "",  # noqa: A002 - the option's name
    session: Annotated[
        str, typer.Option(help="What ties lines together: auto, none, a field, or a regex with one group.")
    ] = "auto",
    window: Annotated[str, typer.Option(help="Where there are no sessions: 60s or 100 lines.")] = "",
    exclude: Annotated[str, typer.Option(help="SQL condition for records to leave out: level = 'DEBUG'.")] = "",
    since: Annotated[str, typer.Option(help="Only records from this time on: 2026-03-01 or 7d.")] = "",
    until: Annotated[str, typer.Option(help="Only records before this time.")] = "",
    seed: Annotated[int, typer.Option(help="Same input and seed, same search.", min=0, max=2**32 - 1)] = 0,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Search for layers, widths, learning rate and batch on validation windows; go on where a search was ended.

    [dim]Example: oddlog tune /var/log/app/ -o best.toml, then oddlog fit /var/log/app/ --options best.toml …[/dim]
    """
    import polars as pl

    from oddlog import training
    from oddlog.cli import prepare, show
    from oddlog.config import write_options
    from oddlog.errors import ConfigError
    from oddlog.pipeline.learning.usual import usual_windows

    prepare()
    names = list(dict.fromkeys(name.strip() for name in detectors.split(",") if name.strip()))
    if not output.parent.is_dir():
        raise ConfigError(f"There is no folder {output.parent} to write {output.name} into.", "Create it first.")
    if not names:
        raise ConfigError("No detector was named.", "Leave --detectors out for lstm and next-event.")
    for name in names:
        training.check(name)  # before anything is read
    book = journal or output.with_suffix(".trials.jsonl")
    with show.progress() as progress:
        windows, context = usual_windows(
            paths,
            format=format,
            session=session,
            window=window,
            exclude=exclude,
            since=since,
            until=until,
            seed=seed,
            progress=progress,
        )
        found = [
            training.tune(windows, context, name, trials=trials, seed=seed, journal=book, progress=progress)
            for name in names
        ]
    aside = output.with_name(output.name + ".aside")
    aside.write_text(write_options({one.name: one.best.options for one in found}), encoding="utf-8")
    aside.replace(output)
    rows = [
        {
            "detector": one.name,
            **{f"{what}_loss": trial.loss for what, trial in (("default", one.default), ("best", one.best))},
            "trials": len(one.trials),
            "options": ", ".join(f"{option} {value:g}" for option, value in one.best.options.items()),
        }
        for one in found
    ]
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_rows(pl.DataFrame(rows))
        else:
            show.print_frame(pl.DataFrame(rows), "Losses on validation windows", right=("default_loss", "best_loss"))
            show.console().print(f"Written to {show.plain(str(output))}; use it with: oddlog fit … --options {output}")
