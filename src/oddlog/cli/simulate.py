"""`oddlog simulate`: the labelled logs of a small shop, or of a data centre."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from oddlog.datasets import DataCentre, Simulated

SYSTEM = typer.Option(help="What is simulated: shop or datacentre.")
LINES = typer.Option(
    "--entries", "--lines", help="How many log entries, about.", show_default="shop 60,000, datacentre 1,000,000"
)
DAYS = typer.Option(help="How many days.", show_default="shop 1.5, datacentre 14")
SEED = typer.Option(help="Same seed, same bytes.")
SHAPE = typer.Option("--as", "--shape", help="How the data centre writes: json, syslog, access (web tier) or all.")
TRAINING = typer.Option(help="Which incidents the data centre's training part holds: known or none.")


def simulate(
    folder: Annotated[Path, typer.Argument(help="Where to write the logs.")],
    system: Annotated[str, SYSTEM] = "shop",
    lines: Annotated[int | None, LINES] = None,
    days: Annotated[float | None, DAYS] = None,
    seed: Annotated[int, SEED] = 0,
    shape: Annotated[str, SHAPE] = "json",
    incidents_in_training: Annotated[str, TRAINING] = "known",
) -> None:
    """Write the labelled logs of a made-up system: a usual period, and a later one with incidents.

    [dim]Example: oddlog simulate shop/ --lines 100000[/dim]

    [dim]Example: oddlog simulate dc/ --system datacentre --entries 1000000 --days 14[/dim]
    """
    from rich.markup import escape

    from oddlog.cli import show
    from oddlog.datasets import simulate as write_shop
    from oddlog.datasets import simulate_datacentre
    from oddlog.errors import ConfigError, did_you_mean

    of_datacentre = {"shape": shape, "incidents_in_training": incidents_in_training}
    chosen: dict[str, Any] = {"seed": seed} | ({} if days is None else {"days": days})
    if system == "datacentre":
        chosen |= of_datacentre | ({} if lines is None else {"entries": lines})
        made: DataCentre | Simulated = simulate_datacentre(folder, **chosen)
    elif system != "shop":
        raise ConfigError(f"There is no system '{system}'.", did_you_mean(system, ["shop", "datacentre"]))
    elif of_datacentre != {"shape": "json", "incidents_in_training": "known"}:
        raise ConfigError("--as and --incidents-in-training are for the data centre.", "Add: --system datacentre.")
    else:
        made = write_shop(folder, **chosen | ({} if lines is None else {"lines": lines}))
    where = escape(str(made.train.parent))
    with show.until_nobody_reads():
        show.console().print(f"Wrote {made.lines:,} lines to {where}/train and {where}/today, with their labels.")
