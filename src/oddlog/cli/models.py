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
    """List the models of a service, learn on, let one judge beside, turn to one of them, or back.

    A service that runs does so at once.
    """


@app.command("list")
def list_(
    data: Annotated[Path, DATA] = Path("oddlog-data"),
    *,
    json: Annotated[bool, JSON] = False,
) -> None:
    """List the models, the one that judges first, and what has drifted since it was learned.

    [dim]Example: oddlog models list --data /var/lib/oddlog[/dim]
    """
    from oddlog.cli import show
    from oddlog.errors import ConfigError

    if not data.is_dir():
        raise ConfigError(f"There is no folder {data}.", "Name the folder of a service with --data.")
    versions = _versions(data)
    found = versions.every()
    with show.until_nobody_reads():
        if show.left_for_people([asdict(one) for one in found], f"There is no model in {data} yet.", json=json):
            for one in found:
                judges = "  judges" if one.is_current else "  judges beside" if one.is_challenger else ""
                span = f", {one.start[:16]} to {one.end[:16]}" if one.start else ""
                used = f"turned to at {one.used[:16]}: {one.why}" if one.used else "never turned to"
                show.print_entry(f"{one.name}{judges}", f"learned from {one.lines:,} lines{span}", used)
            _print_drift(versions, data)


@app.command("use")
def use(
    model: Annotated[str, typer.Argument(help="A model's name or the beginning of it, or the folder of another one.")],
    data: Annotated[Path, DATA] = Path("oddlog-data"),
) -> None:
    """Turn to a model; one from elsewhere is copied first.

    [dim]Example: oddlog models use next.model --data /var/lib/oddlog[/dim]
    """
    from oddlog.cli import show

    versions = _versions(data)
    brought = _brought(versions, Path(model))
    name = versions.use(brought or model, f"brought from {model}" if brought else "asked for")
    show.console().print(f"{name} judges now. To go back: oddlog models rollback", markup=False)


@app.command("learn")
def learn(data: Annotated[Path, DATA] = Path("oddlog-data")) -> None:
    """Have the service learn on from the lines that come, into a model that judges beside the current one.

    [dim]Example: oddlog models learn --data /var/lib/oddlog[/dim]
    """
    from oddlog.cli import show

    _versions(data).ask_learning()
    show.console().print(
        "The service learns on as soon as enough lines are kept, and lets that model judge beside. "
        "See how far it is at its page, or at GET /v1/models.",
        markup=False,
    )


@app.command("challenge")
def challenge(
    model: Annotated[str, typer.Argument(help="A model's name or the beginning of it, or the folder of another one.")],
    data: Annotated[Path, DATA] = Path("oddlog-data"),
) -> None:
    """Let a model judge beside the current one, telling nobody; one from elsewhere is copied first.

    [dim]Example: oddlog models challenge next.model --data /var/lib/oddlog[/dim]
    """
    from oddlog.cli import show

    versions = _versions(data)
    name = versions.challenge(_brought(versions, Path(model)) or model)
    show.console().print(f"{name} judges beside {versions.name} and tells nobody.", markup=False)


@app.command("promote")
def promote(data: Annotated[Path, DATA] = Path("oddlog-data")) -> None:
    """Turn to the model that judges beside.

    [dim]Example: oddlog models promote --data /var/lib/oddlog[/dim]
    """
    from oddlog.cli import show

    name = _versions(data).promote()
    show.console().print(f"{name} judges now. To go back: oddlog models rollback", markup=False)


@app.command("drop")
def drop(data: Annotated[Path, DATA] = Path("oddlog-data")) -> None:
    """Have no challenger: the one that judges beside judges no more and stays, one asked for is not learned.

    [dim]Example: oddlog models drop --data /var/lib/oddlog[/dim]
    """
    from oddlog.cli import show

    show.console().print(_versions(data).drop(), markup=False)


@app.command("rollback")
def rollback(data: Annotated[Path, DATA] = Path("oddlog-data")) -> None:
    """Turn back to the model that judged before.

    [dim]Example: oddlog models rollback --data /var/lib/oddlog[/dim]
    """
    from oddlog.cli import show

    show.console().print(f"{_versions(data).rollback()} judges again.", markup=False)


def _brought(versions: Versions, folder: Path) -> str:
    """Copy a model from elsewhere to the others, and return its name; empty if the folder holds none."""
    import shutil

    from oddlog.model import MANIFEST, load

    if not (folder / MANIFEST).is_file():
        return ""
    load(folder)
    place = versions.place()
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder, place)
    name = versions.add(place, f"brought from {folder}", use=False)
    shutil.rmtree(place, ignore_errors=True)  # where it was there already
    return name


def _print_drift(versions: Versions, data: Path) -> None:
    """Print what the service noted last of drift."""
    from oddlog.cli import show

    found = versions.drift
    if not found.get("drifted"):
        return
    show.console().print("\n[bold]Drifted since the model that judges was learned[/bold]")
    for one in found["drifted"]:
        head = f"{one['service'] or 'all services'}: {one['of']}, since {one['since'][:16]} ({one['hours']:,.0f} hours)"
        show.print_entry(head, one["says"])
    if found["proposal"]:
        out = show.console()
        out.print(f"\n{show.plain(found['proposal'])}\n  oddlog models learn --data {data}", markup=False)


def _versions(data: Path) -> Versions:
    from oddlog.pipeline.live.versions import Versions

    return Versions(data / "models")
