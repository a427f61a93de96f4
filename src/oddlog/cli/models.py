"""`oddlog models`: the models that a service has learned; turn to one of them, and back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from oddlog.pipeline.live.versions import Versions

DATA = typer.Option(help="The folder of the service: its --data.")
JSON = typer.Option("--json", help="JSON lines, also on a terminal.")

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback(epilog="Example: oddlog models rollback --data /var/lib/oddlog")
def models() -> None:
    """List the models of a service, turn to one of them, or back. A service that runs turns at once."""


@app.command("list")
def list_(
    data: Annotated[Path, DATA] = Path("oddlog-data"),
    *,
    json: Annotated[bool, JSON] = False,
) -> None:
    """List the models, the one that judges first.

    [dim]Example: oddlog models list --data /var/lib/oddlog[/dim]
    """
    from oddlog.cli import show

    found = _versions(data).every()
    with show.until_nobody_reads():
        if show.left_for_people([asdict(one) for one in found], f"There is no model in {data} yet.", json=json):
            for one in found:
                judges = "  judges" if one.is_current else ""
                span = f", {one.start[:16]} to {one.end[:16]}" if one.start else ""
                used = f"turned to at {one.used[:16]}: {one.why}" if one.used else "never turned to"
                show.print_entry(f"{one.name}{judges}", f"learned from {one.lines:,} lines{span}", used)


@app.command("use")
def use(
    model: Annotated[str, typer.Argument(help="A model's name or the beginning of it, or the folder of another one.")],
    data: Annotated[Path, DATA] = Path("oddlog-data"),
) -> None:
    """Turn to a model; one from elsewhere is copied first.

    [dim]Example: oddlog models use next.model --data /var/lib/oddlog[/dim]
    """
    import shutil

    from oddlog.cli import show
    from oddlog.model import MANIFEST, load

    versions, folder = _versions(data), Path(model)
    if (folder / MANIFEST).is_file():
        load(folder)
        place = versions.place()
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(folder, place)
        name = versions.add(place, f"brought from {folder}")
        shutil.rmtree(place, ignore_errors=True)  # where it was there already
    else:
        name = versions.use(model, "asked for")
    show.console().print(f"{name} judges now. To go back: oddlog models rollback", markup=False)


@app.command("rollback")
def rollback(data: Annotated[Path, DATA] = Path("oddlog-data")) -> None:
    """Turn back to the model that judged before.

    [dim]Example: oddlog models rollback --data /var/lib/oddlog[/dim]
    """
    from oddlog.cli import show

    show.console().print(f"{_versions(data).rollback()} judges again.", markup=False)


def _versions(data: Path) -> Versions:
    from oddlog.pipeline.live.versions import Versions

    return Versions(data / "models")
