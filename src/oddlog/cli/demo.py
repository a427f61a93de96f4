"""`oddlog demo`: a small system's logs, and the whole way on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

LINES = typer.Option(help="How many lines, about.")
SEED = typer.Option(help="Same seed, same bytes.")


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to write the logs and the model.")] = Path("demo"),
    lines: Annotated[int, LINES] = 60_000,
    seed: Annotated[int, SEED] = 0,
) -> None:
    """Make a small system's logs, learn from the usual days, say what is odd today and why.

    [dim]Example: oddlog demo demo/[/dim]
    """
    from oddlog.cli import show

    with show.until_nobody_reads():
        _whole_way(folder, lines, seed)


def _whole_way(folder: Path, lines: int, seed: int) -> None:
    from rich.markup import escape

    from oddlog import load
    from oddlog.cli import prepare, show
    from oddlog.cli.simulate import simulate
    from oddlog.pipeline import fit

    prepare()
    out, where, model = show.console(), escape(str(folder)), folder / "shop.model"
    out.print(f"[bold cyan]$ oddlog simulate {where}[/bold cyan]")
    if (folder / "incidents.json").is_file():
        out.print(f"The logs are in {where} already; delete it to make new ones.")
    else:
        simulate(folder, lines=lines, seed=seed)
    out.print(f"\n[bold cyan]$ oddlog fit {where}/train -m {where}/{model.name} --entity client[/bold cyan]")
    with show.progress() as progress:
        learned = fit(folder / "train", entity="client", seed=seed, progress=progress)
        learned.save(model)
    show.print_model(learned, str(model))
    out.print(f"\n[bold cyan]$ oddlog detect {where}/today -m {where}/{model.name}[/bold cyan]")
    with show.progress() as progress:
        found = load(model).detect(folder / "today", progress=progress)
    show.print_detection(found, limit=20)
    out.print(f"\nWhat was planted: [bold]{where}/incidents.json[/bold]. Now your own logs: oddlog fit /var/log/…")
