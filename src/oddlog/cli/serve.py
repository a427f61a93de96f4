"""`oddlog serve`: take lines over HTTP, judge them, keep what is odd."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

SHADOW = ", sending nothing: it is a shadow."
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_NAMES = ("127.0.0.1", "[::1]", "localhost")  # as a browser writes them
MOST_AT_ONCE = 1_000  # requests and connections; further ones are answered 503


def serve(
    model: Annotated[
        Path | None,
        typer.Option(
            "-m", "--model", help="A model made by oddlog fit; if not given, the one in --data, learned first."
        ),
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder for what is kept: lines not judged yet, incidents.")] = Path(
        "oddlog-data"
    ),
    host: Annotated[str, typer.Option(help="Address to listen at; other machines reach only another than this.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen at.", min=0, max=65_535)] = 8514,
    token: Annotated[
        str, typer.Option(help="One token for everything; better: oddlog token create, one for each who asks.")
    ] = "",
    exclude: Annotated[str, typer.Option(help="SQL condition for records to leave out, besides the model's.")] = "",
    lateness: Annotated[str, typer.Option(help="How long to wait for lines that come out of order.")] = "2s",
    sink: Annotated[
        list[str] | None,
        typer.Option(
            help="Where incidents go: webhook+URL, slack+URL, alertmanager+URL, mail+URL, apprise+URL, file:PATH; "
            "TENANT=… for those of a tenant."
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="What to follow: files, globs, directories, journald://, kafka://, loki+URL, es+URL; repeatable; "
            "TENANT=… for a tenant."
        ),
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Also judge what a --source holds already, not only what comes now.")
    ] = False,
    syslog: Annotated[
        list[str] | None,
        typer.Option(
            help="Where to listen for syslog: udp://127.0.0.1:5514, tcp://127.0.0.1:5514, "
            "tls://127.0.0.1:6514?cert=FILE&key=FILE; may be repeated; TENANT=… for a tenant."
        ),
    ] = None,
    most_spooled: Annotated[
        int, typer.Option("--most-spooled", help="MiB of lines kept that are not judged yet.", min=1)
    ] = 1_024,
    threshold: Annotated[
        str, typer.Option(help="What judges windows: learned, or rolling with the windows before them.")
    ] = "learned",
    budget: Annotated[str, typer.Option(help="Tell at most so many incidents a day, the most pressing: 5/day.")] = "",
    rules: Annotated[
        Path | None, typer.Option(help="TOML file of rules (never, always, limit) and maintenance windows.")
    ] = None,
    learn: Annotated[str, typer.Option(help="With no model yet: of how long a time to learn one.")] = "3h",
    learn_lines: Annotated[
        int, typer.Option("--learn-lines", help="With no model yet: of how many lines to learn one.", min=1)
    ] = 10_000,
    store: Annotated[str, typer.Option(help="postgresql://USER:PASSWORD@HOST/NAME instead of SQLite in --data.")] = "",
    keep: Annotated[str, typer.Option(help="For how long incidents and history are kept; 0 for ever.")] = "90d",
    redact: Annotated[
        bool, typer.Option("--redact", help="Take secrets out of lines before they are kept anywhere.")
    ] = False,
    most_rate: Annotated[
        float, typer.Option("--most-rate", help="Lines a second taken over HTTP, of each tenant; 0 for any.", min=0)
    ] = 0.0,
    tenant: Annotated[
        list[str] | None,
        typer.Option(help="A further tenant, NAME or NAME=MODEL: its own lines, model, page; may be repeated."),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", help="Certificate (PEM), to be reached by TLS.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its key (PEM).")] = None,
    tls_clients: Annotated[
        Path | None, typer.Option("--tls-clients", help="Authority (PEM) whose certificates clients must bring.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="A further name it is called by while no token is needed; may be repeated."),
    ] = None,
    allow_internal: Annotated[
        bool, typer.Option("--allow-internal", help="Let sinks be at addresses inside, such as 127.0.0.1.")
    ] = False,
    without_tokens: Annotated[
        bool, typer.Option("--without-tokens", help="Listen beyond loopback with no token: whoever comes may do all.")
    ] = False,
    shadow: Annotated[bool, typer.Option("--shadow", help="Judge and keep everything, send nothing.")] = False,
) -> None:
    """Take lines over HTTP (JSON, Loki, OTLP, Elasticsearch _bulk, Splunk HEC) and syslog, judge them, keep incidents.

    What is odd is shown at the same address. Without a model it learns one from what is pushed first.

    [dim]Example: oddlog serve --data /var/lib/oddlog --learn 3h[/dim]
    """
    from oddlog.cli import StoppedError, prepare, show
    from oddlog.cli.beginning import Told
    from oddlog.cli.serving import Options, Tenant, by_tenant, listening, tenants_of, tls_options
    from oddlog.config import parse_duration
    from oddlog.errors import MissingExtraError
    from oddlog.pipeline.rolling import require_kind

    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtraError("oddlog serve", "service") from error
    from oddlog.service.alone import Alone
    from oddlog.service.gate import Gate
    from oddlog.service.intakes import open_intakes
    from oddlog.sinks import parse
    from oddlog.sources.links import Links
    from oddlog.web.pages import sign_in

    require_kind(threshold)
    tls = tls_options(tls_cert, tls_key, tls_clients)
    further = tenants_of(tenant or (), data)
    names = [name for name, *_ in further]
    sinks_of, sources_of, listens_of = (
        by_tenant(texts or (), names, option)
        for texts, option in ((() if shadow else sink, "--sink"), (source, "--source"), (syslog, "--syslog"))
    )
    options = Options(
        exclude, parse_duration(lateness), most_spooled << 20, parse_duration(learn), learn_lines, most_rate,
        parse_duration(keep) if keep != "0" else 0.0, redact, store, Told(budget, rules), threshold,
    )  # fmt: skip
    prepare()
    door, place = listening(host, port)
    alone = Alone(data)
    tenants = {
        name: Tenant(
            name, own, folder, options,
            [parse(text, internal=allow_internal) for text in sinks_of[name]],
            partial(open_intakes, syslog=listens_of[name], sources=sources_of[name], from_start=from_start),
            Links(sources_of[name]),
        )
        for name, own, folder in [("", model, data), *further]
    }  # fmt: skip
    main = tenants[""]
    try:
        is_open = _may_be_open(host, token, without_tokens=without_tokens, has_tokens=main.store.has_tokens())
        gate = Gate(
            {name: one.app for name, one in tenants.items()}, main.store, sign_in,
            token=token, is_open=is_open, is_secure=bool(tls),
            hosts=() if host not in LOOPBACK else (*_NAMES, *(allow_host or ())),
        )  # fmt: skip
        for one in tenants.values():
            one.start()
        places = [
            f"http{'s' if tls else ''}://{place}",
            *(place for one in tenants.values() for place in one.places),
        ]
        show.tell_notes(
            [f"Listening at {', '.join(places)}; keeping lines and incidents in {data}.{SHADOW if shadow else ''}"]
        )
        config = uvicorn.Config(
            gate, log_level="warning", access_log=False, ws="none",
            limit_concurrency=MOST_AT_ONCE, timeout_keep_alive=30, server_header=False, **tls,
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[door])
    except StoppedError:
        pass  # somebody wants it to end: that is how it ends
    finally:
        for one in tenants.values():
            one.stop()
        door.close()
        alone.close()


def _may_be_open(host: str, token: str, *, without_tokens: bool, has_tokens: bool) -> bool:
    """Return whether nobody needs a token.

    Raises
    ------
    ConfigError
        If others could come in, and nobody has said that they may.

    """
    from oddlog.errors import ConfigError

    if host in LOOPBACK or without_tokens:
        return True
    if not token and not has_tokens:
        raise ConfigError(
            f"Whoever reaches {host} could push lines and read incidents.",
            "Make one first: oddlog token create NAME --scope ingest. Or listen at 127.0.0.1, or say --without-tokens.",
        )
    return False
