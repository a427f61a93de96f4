"""`oddlog federate server | site | status | keys | certificate`: a federation on several machines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from oddlog.cli import federate

app = federate.app
IDENTITY = typer.Option(help="File of the site's secret, from: oddlog federate keys SITE.")
AUTHORITY = typer.Option(help="Certificate of who has signed the server's; the usual authorities if not given.")


@app.command("server")
def server(
    config: Annotated[Path, typer.Option("--config", help="TOML file: address, roster, certificate, plan.")] = Path(
        "federation.toml"
    ),
    *,
    json: Annotated[bool, typer.Option("--json", help="Print what happened as JSON.")] = False,
) -> None:
    """Wait for the sites of a roster, learn with them, and say what happened. Ended and begun again, it goes on.

    [dim]Example: oddlog federate server --config federation.toml[/dim]
    """
    import polars as pl  # noqa: F401 - before `prepare`, see there

    from oddlog.cli import prepare
    from oddlog.federated.running import serve
    from oddlog.federated.settings import Settings

    prepare()
    federate.tell(serve(Settings.read(config), _lines()), json=json)


@app.command("site")
def site(
    server: Annotated[str, typer.Option(help="The server's name and port: fed.example.com:9092.")],
    logs: Annotated[str, typer.Option(help="The site's raw logs: a folder, a file or a glob.")],
    identity: Annotated[Path, IDENTITY] = Path("site.key"),
    authority: Annotated[Path | None, AUTHORITY] = None,
    roster: Annotated[
        Path | None, typer.Option(help="The roster; with it, the server cannot make sites up in secure sums.")
    ] = None,
    shared: Annotated[
        Path | None, typer.Option(help="Secret of all sites, to show them usual windows; hexadecimal, 32 bytes.")
    ] = None,
    model: Annotated[Path | None, typer.Option("-m", "--model", help="Where to write the model; NAME.model.")] = None,
    work: Annotated[Path | None, typer.Option(help="What it must know between messages, secret; NAME.work.")] = None,
    detector: Annotated[str, typer.Option(help="What the sites train together; the same everywhere.")] = "spoken",
    detectors: Annotated[str, typer.Option(help="Members of the site's verdict; the default ones if not given.")] = "",
    session: Annotated[
        str, typer.Option(help="What ties lines together: auto, none, a field, or a regex with one group.")
    ] = "auto",
    window: Annotated[str, typer.Option(help="Where there are no sessions: 60s or 100 lines.")] = "",
    format: Annotated[str, typer.Option(help="Format of the lines; found per source if not given.")] = "",  # noqa: A002 - the option's name
    labels: Annotated[
        Path | None, typer.Option(help="CSV key,label: anomalies leave training; the server is told one F1 a round.")
    ] = None,
    epsilon: Annotated[
        float, typer.Option(help="Most that a window gives away, all federations of --work together; 0: any.", min=0)
    ] = 0.0,
    delta: Annotated[float, typer.Option(help="The same of delta; looked at with --epsilon.", min=0, max=1)] = 1e-5,
    seed: Annotated[int, typer.Option(help="The same at all sites.", min=0, max=2**32 - 1)] = 0,
) -> None:
    """Learn with the other sites of a server, from logs that stay here, and write this site's model.

    [dim]Example: oddlog federate site --server fed.example.com:9092 --logs /var/log/app --identity siteA.key[/dim]
    """
    import polars as pl  # noqa: F401 - before `prepare`, see there

    from oddlog.cli import prepare, show
    from oddlog.federated.identity import SiteKey, read_roster, read_shared
    from oddlog.federated.privacy import Bound
    from oddlog.federated.running import Taking, take_part

    prepare()
    key = SiteKey.at(identity)
    taking = Taking(
        logs,
        model or Path(f"{key.name}.model"),
        work or Path(f"{key.name}.work"),
        detector,
        [name.strip() for name in detectors.split(",") if name.strip()] or None,
        {"session": session, "window": window, "format": format, "labels": labels},
        read_roster(roster) if roster is not None else {},
        read_shared(shared) if shared is not None else b"",
        seed,
        Bound(epsilon, delta).checked() if epsilon else None,
    )
    take_part(server, authority, key, taking, _lines(f"{key.name}: "))
    with show.until_nobody_reads():
        show.console().print(f"{show.plain(key.name)}: written to {show.plain(str(taking.model))}.")


@app.command("status")
def status(
    folder: Annotated[Path, typer.Argument(help="The server's folder.")] = Path("federation"),
    *,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what a server is doing: which round it is, which sites are there, who is not and why.

    [dim]Example: oddlog federate status federation[/dim]
    """
    from dataclasses import asdict

    import polars as pl

    from oddlog.cli import show
    from oddlog.federated.status import Status

    found = Status.read(folder)
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json(asdict(found))
            return
        why = f" ({found.why})" if found.why else ""
        show.console().print(show.plain(f"{found.state}{why}: round {found.round} of {found.rounds}, {found.address}"))
        rows = [
            {"site": name, "is": one["state"], "last round": str(one.get("last_round", "")), "why": one["why"]}
            for name, one in found.sites.items()
        ]
        show.print_frame(pl.DataFrame(rows), right=("last round",))
        for who, times in found.turned_away.items():
            show.console().print(f"Turned away {times:,} times: {show.plain(who)}")


@app.command("keys")
def keys(
    site: Annotated[str, typer.Argument(help="What the site is called.")],
    identity: Annotated[Path, typer.Option(help="File of the site's secret; made if it is not there.")] = Path(
        "site.key"
    ),
) -> None:
    """Make a site's secret, and say its line of the roster, in which nothing is secret.

    [dim]Example: oddlog federate keys siteA --identity siteA.key >> roster.txt[/dim]
    """
    from oddlog.cli import show
    from oddlog.errors import ConfigError
    from oddlog.federated.identity import SiteKey

    if not site or len(site.split()) != 1 or not site.isprintable():
        raise ConfigError(f"{site!r} is no name of a site.", "Write one word.")
    with show.until_nobody_reads():
        typer.echo(SiteKey.at(identity, site).line())


@app.command("certificate")
def certificate(
    hosts: Annotated[list[str], typer.Argument(help="Names and addresses that the sites know the server by.")],
    folder: Annotated[Path, typer.Option(help="Where to write.")] = Path(),
    days: Annotated[int, typer.Option(help="So long it is valid.", min=1, max=3650)] = 365,
) -> None:
    """Make a certificate for a server that has none: server.pem and server.key for it, ca.pem for the sites.

    [dim]Example: oddlog federate certificate fed.example.com --folder tls[/dim]
    """
    from datetime import UTC, datetime

    from oddlog.cli import show
    from oddlog.federated.certificate import AUTHORITY as CA
    from oddlog.federated.certificate import CERTIFICATE, KEY, make_certificate

    make_certificate(hosts, folder, days, datetime.now(UTC))
    with show.until_nobody_reads():
        show.console().print(
            f"Written: {show.plain(str(folder / CA))} for the sites; {CERTIFICATE} and {KEY}, secret, for the server."
        )


def _lines(about: str = "") -> Callable[[str, int], None]:
    """Return what says each new thing in a line on standard error, for terminals and journals alike."""
    last: list[Any] = [None]

    def said(what: str, _n: int) -> None:
        if what != last[0] and what.startswith(about):
            typer.echo(what, err=True)
        last[0] = what if what.startswith(about) else last[0]

    return said
