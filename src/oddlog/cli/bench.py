"""`oddlog bench`: run detectors on labelled sets under protocols that cannot leak; report."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

FOLDER = typer.Option("-o", "--folder", help="Where results lie; what is finished there is not run again.")

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback(
    epilog="Example: oddlog bench run --set hdfs --protocol time --detectors snn,new-event --data ../shared/data"
)
def bench() -> None:
    """Measure detectors on labelled logs: fit and detect as they are, splits that cannot leak."""


@app.command("run")
def run(
    sets: Annotated[
        str, typer.Option("--set", "--sets", help="Names (oddlog datasets list) or folders, by comma.")
    ] = "",
    protocols: Annotated[
        str,
        typer.Option(
            "--protocol",
            "--protocols",
            help="How sets are split, by space; options behind a colon.",
            show_default="time",
        ),
    ] = "",
    detectors: Annotated[
        str,
        typer.Option(
            "--detector",
            "--detectors",
            help="By comma; several joined by + vote together; options behind colons (deeplog:paper:g=5).",
            show_default="default",
        ),
    ] = "",
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.", min=1)] = 1,
    data: Annotated[Path, typer.Option(help="A folder of raw files, for sets that are not prepared yet.")] = Path(
        "data"
    ),
    folder: Annotated[Path, FOLDER] = Path("bench"),
    jobs: Annotated[int, typer.Option(help="Processes at a time; each runs cells of one split.", min=1)] = 1,
    threads: Annotated[int, typer.Option(help="Threads of each.", min=1)] = 1,
    recurring: Annotated[str, typer.Option(help="See oddlog fit: usual or odd.")] = "usual",
    answers: Annotated[int, typer.Option(help="Give so many answers, as somebody on duty would; 0: none.", min=0)] = 0,
    session: Annotated[str, typer.Option(help="See oddlog fit; what the set says if not given.")] = "",
    window: Annotated[str, typer.Option(help="The same.")] = "",
    format: Annotated[str, typer.Option(help="The same.")] = "",  # noqa: A002 - the option's name
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Ten minutes at most; chooses what is not named.")] = False,
) -> None:
    """Run every combination that is not finished, and write the report.

    [dim]Example: oddlog bench run --set hdfs --protocol "time random" --detectors snn,new-event --data DATA[/dim]
    """
    from dataclasses import replace

    from oddlog.cli import show
    from oddlog.evaluation.bench import Asked, run_bench
    from oddlog.evaluation.bench import quick as in_ten_minutes
    from oddlog.evaluation.report import write_reports

    asked = Asked(
        sets=_split(sets, ","),
        protocols=_split(protocols, " "),
        detectors=_split(detectors, ","),
        seeds=range(seeds),
        data=data,
        folder=folder,
        jobs=jobs,
        threads=threads,
        recurring=recurring,
        answers=answers,
        session=session,
        window=window,
        format=format,
        command=shlex.join(["oddlog", *sys.argv[1:]]),
    )
    if quick:
        asked = in_ten_minutes(asked)
    else:
        asked = replace(asked, protocols=asked.protocols or ["time"], detectors=asked.detectors or ["default"])
    out = show.console()
    run_bench(asked, lambda said: out.print(said, markup=False))
    with show.until_nobody_reads():
        out.print(f"Written: {', '.join(str(path) for path in write_reports(folder))}", markup=False)


@app.command("report")
def report(
    folder: Annotated[Path, FOLDER] = Path("bench"),
    also: Annotated[
        list[Path] | None, typer.Option("--also", help="A folder of another bench, told beside; may be repeated.")
    ] = None,
    goals: Annotated[
        Path | None, typer.Option(help="A file of goals and plans (TOML): the report says what came of them.")
    ] = None,
) -> None:
    """Write the report of what is finished: Markdown, and one HTML page with figures.

    [dim]Example: oddlog bench report -o bench[/dim]
    """
    from oddlog.cli import show
    from oddlog.evaluation.report import write_reports

    with show.until_nobody_reads():
        written = write_reports(folder, also or [], goals)
        show.console().print(f"Written: {', '.join(str(path) for path in written)}", markup=False)


@app.command("fidelity")
def fidelity(
    folder: Annotated[Path, FOLDER] = Path("bench"),
    data: Annotated[Path, typer.Option(help="A folder of raw files, for sets that are not prepared yet.")] = Path(
        "data"
    ),
    page: Annotated[Path | None, typer.Option(help="Where the page goes; printed if not given.")] = None,
    most_s: Annotated[
        float, typer.Option("--most-s", help="CPU-seconds after which no further method is begun.", min=0)
    ] = 3_600.0,
) -> None:
    """Measure methods as their papers have them, and set what was published beside it.

    [dim]Example: oddlog bench fidelity --data DATA --page fidelity.md[/dim]
    """
    from oddlog.cli import show
    from oddlog.evaluation.fidelity_run import run_fidelity

    out = show.console()
    text = run_fidelity(folder, data, most_s, lambda said: out.print(said, markup=False))
    with show.until_nobody_reads():
        if page is None:
            out.print(text, markup=False)
        else:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text, encoding="utf-8")
            out.print(f"Written: {page}", markup=False)


def _split(text: str, by: str) -> list[str]:
    return [part.strip() for part in text.split(by) if part.strip()]
