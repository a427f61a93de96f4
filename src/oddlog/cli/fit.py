"""`oddlog fit`: learn what is usual."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def fit(
    paths: Annotated[
        list[str], typer.Argument(help="Files, globs, directories, loki+URL, es+URL, or - for standard input.")
    ],
    model: Annotated[Path, typer.Option("-m", "--model", help="Where to write the model (a folder).")],
    format: Annotated[str, typer.Option(help="Format of the lines; found per source if not given.")] = "",  # noqa: A002 - the option's name
    session: Annotated[
        str, typer.Option(help="What ties lines together: auto, none, a field, or a regex with one group.")
    ] = "auto",
    entity: Annotated[str, typer.Option(help="Watch each value of this field on its own: client, user, host …")] = "",
    window: Annotated[str, typer.Option(help="Where there are no sessions (and for --entity): 60s or 100 lines.")] = "",
    detectors: Annotated[str, typer.Option(help="Comma-separated; the default members if not given.")] = "",
    options: Annotated[
        Path | None, typer.Option(help="TOML file with a table detector.NAME for each, as `oddlog tune` writes it.")
    ] = None,
    checkpoints: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints: a fit that was ended goes on from there.")
    ] = None,
    false_alarms: Annotated[str, typer.Option(help="False alarms you accept: 5/day.")] = "",
    threshold: Annotated[
        str, typer.Option(help="How it is found: pot (fitted tail), budget, quantile, sigma (sigma:2.5).")
    ] = "pot",
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV key,label: anomalies leave training (svm, cart … learn from them), choose the threshold."
        ),
    ] = None,
    exclude: Annotated[str, typer.Option(help="SQL condition for records to leave out: level = 'DEBUG'.")] = "",
    since: Annotated[str, typer.Option(help="Only records from this time on: 2026-03-01 or 7d.")] = "",
    until: Annotated[str, typer.Option(help="Only records before this time.")] = "",
    recurring: Annotated[
        str, typer.Option(help="What looks odd but recurs all through training is taken as: usual, or odd.")
    ] = "usual",
    train_share: Annotated[float, typer.Option(help="Learn from this first share of the time.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Same input and seed, same model.", min=0, max=2**32 - 1)] = 0,
    *,
    drop_duplicates: Annotated[bool, typer.Option(help="Drop identical lines instead of counting them.")] = False,
    redact: Annotated[bool, typer.Option(help="Replace passwords, tokens and keys by <redacted>.")] = True,
    rates: Annotated[bool, typer.Option(help="Watch how many lines, errors and failures there are by minute.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print what was learned as JSON.")] = False,
) -> None:
    """Learn what is usual: formats, templates, sessions, detectors, calibration.

    [dim]Example: oddlog fit /var/log/app/ -m app.model --false-alarms 5/day[/dim]
    """
    from oddlog import pipeline
    from oddlog.cli import prepare, show
    from oddlog.config import load_options
    from oddlog.model import check_destination

    prepare()
    check_destination(model)
    with show.progress() as progress:
        learned = pipeline.fit(
            paths,
            format=format,
            session=session,
            entity=entity,
            window=window,
            detectors=[name.strip() for name in detectors.split(",") if name.strip()] or None,
            options=None if options is None else load_options(options),
            checkpoints=checkpoints or "",
            false_alarms=false_alarms,
            threshold=threshold,
            labels=labels,
            exclude=exclude,
            since=since,
            until=until,
            recurring=recurring,  # type: ignore[arg-type] # fit refuses other words
            drop_duplicates=drop_duplicates,
            redact=redact,
            rates=rates,
            seed=seed,
            train_share=train_share,
            progress=progress,
        )
        learned.save(model)
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json(show.model_json(learned))
        else:
            show.print_model(learned, str(model))
