"""`oddlog token`: say who may push, read and answer; list and revoke."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from oddlog.store import Store

DATA = typer.Option(help="The folder of oddlog serve.")
STORE = typer.Option(help="The store of oddlog serve, if it is PostgreSQL.")
JSON = typer.Option("--json", help="JSON lines, also on a terminal.")
HERE = Path("oddlog-data")

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback(epilog="Example: oddlog token create fluent-bit --scope ingest --data /var/lib/oddlog")
def token() -> None:
    """Say who may push lines, read and answer. As soon as there is a token, each request needs one."""


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose it is; answers are signed with it.")],
    scope: Annotated[list[str], typer.Option(help="ingest, read or admin (answers, marks); may be repeated.")],
    tenant: Annotated[str, typer.Option(help="Whose logs it opens; the default tenant's if not given.")] = "",
    ends: Annotated[str, typer.Option(help="How long from now it holds: 90d; for good if not given.")] = "",
    data: Annotated[Path, DATA] = HERE,
    store: Annotated[str, STORE] = "",
    *,
    json: Annotated[bool, JSON] = False,
) -> None:
    """Make a token. It is shown this once: only a hash of it is kept.

    [dim]Example: oddlog token create anna --scope read --scope admin --ends 90d --data /var/lib/oddlog[/dim]
    """
    from oddlog.cli import show
    from oddlog.config import parse_duration

    until = datetime.now(UTC) + timedelta(seconds=parse_duration(ends)) if ends else None
    kept = _opened(data, store)
    try:
        id_, text = kept.make_token(name, scope, tenant, until)
    finally:
        kept.close()
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json({"id": id_, "name": name, "scopes": scope, "tenant": tenant, "token": text}, one_line=True)
        else:
            show.console().print(
                f"{text}\nIt is not shown again. To take it back: oddlog token revoke {id_}", markup=False
            )


@app.command("list")
def list_(
    data: Annotated[Path, DATA] = HERE,
    store: Annotated[str, STORE] = "",
    *,
    json: Annotated[bool, JSON] = False,
) -> None:
    """List the tokens: who, what for, until when. Their secrets are not known here.

    [dim]Example: oddlog token list --data /var/lib/oddlog[/dim]
    """
    from dataclasses import asdict

    from oddlog.cli import show

    kept = _opened(data, store, make=False)
    try:
        found = kept.tokens()
    finally:
        kept.close()
    now = datetime.now(UTC)
    states = ["holds" if one.holds(now) else "revoked" if one.revoked else "has run out" for one in found]
    rows = [
        asdict(one) | {"scopes": sorted(one.scopes), "state": state} for one, state in zip(found, states, strict=True)
    ]
    with show.until_nobody_reads():
        empty = "No tokens. Make one with: oddlog token create NAME --scope read"
        for row in rows if show.left_for_people(rows, empty, json=json) else ():
            until = f", until {row['ends'][:16]}" if row["ends"] else ""
            where = f"  tenant {row['tenant']}" if row["tenant"] else ""
            show.print_entry(f"{row['id']}: {row['name']}, {row['state']}{until}", f"{', '.join(row['scopes'])}{where}")


@app.command("revoke")
def revoke(
    which: Annotated[str, typer.Argument(help="The id of a token, or the name that only it has.")],
    data: Annotated[Path, DATA] = HERE,
    store: Annotated[str, STORE] = "",
) -> None:
    """Take a token back; a service that runs heeds it within seconds.

    [dim]Example: oddlog token revoke fluent-bit --data /var/lib/oddlog[/dim]
    """
    from oddlog.cli import show

    kept = _opened(data, store, make=False)
    try:
        gone = kept.revoke(which)
    finally:
        kept.close()
    with show.until_nobody_reads():
        show.console().print(f"Revoked: {gone.id} of {gone.name}.", markup=False)


def _opened(data: Path, store: str, *, make: bool = True) -> Store:
    from oddlog.errors import InputError
    from oddlog.store import Store

    if not make and not store and not (data / "oddlog.db").exists():
        raise InputError(
            f"{data} holds no oddlog.db, so no tokens.", "Give the --data of the service, or --store for a URL."
        )
    if not store:
        try:
            data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{data} cannot be used: {error.strerror}.", "Give another --data.") from error
    return Store(store or data / "oddlog.db")
