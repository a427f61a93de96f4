"""One tenant of `oddlog serve`: its model, spool, store, threads, and its application."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from socket import socket

    from oddlog.cli.beginning import Told
    from oddlog.service.intakes import Intake
    from oddlog.sources.links import Links
    from oddlog.types import Sink


MOST_PORT = 65_535


@dataclass(frozen=True)
class Options:
    """What holds for every tenant; see `serve.serve`."""

    exclude: str
    lateness_s: float
    most_bytes: int
    learn_s: float
    learn_lines: int
    rate: float
    keep_s: float
    redact: bool
    store: str
    told: Told
    threshold: str = "learned"


class Tenant:
    """Puts one tenant together.

    Parameters
    ----------
    name : str
        Empty for the default one.
    model : Path or None
        Its model; None: the current one in `data`, learned first.
    data : Path
        What it keeps.
    options : Options
        What holds for every tenant.
    sinks : sequence of Sink
        Where its incidents go.
    intakes : callable, optional
        Makes what brings lines besides HTTP from a spool; returns it and where it listens.
    links : Links, optional
        Lead from incidents back to where their lines came from.

    """

    def __init__(
        self,
        name: str,
        model: Path | None,
        data: Path,
        options: Options,
        sinks: Sequence[Sink] = (),
        intakes: Callable[[Any], tuple[Sequence[Intake], Sequence[str]]] = lambda _: ((), ()),
        links: Links | None = None,
    ) -> None:
        from oddlog.cli import beginning
        from oddlog.service import reading
        from oddlog.service.api import make_app
        from oddlog.service.dispatching import Dispatcher
        from oddlog.service.keeping import Keeper
        from oddlog.service.limits import Rate
        from oddlog.service.models import Models
        from oddlog.service.redacting import Redacting
        from oddlog.service.watching import Watching
        from oddlog.service.worker import Worker
        from oddlog.sources.spool import Spool
        from oddlog.store import Store
        from oddlog.types import Tally
        from oddlog.web import pages

        tally = Tally()
        opening = beginning.Opening(
            model, data, options.exclude, options.lateness_s, tally, options.told, options.threshold
        )
        self._spool = Spool(
            data / "spool", tally, most_bytes=options.most_bytes, change=Redacting(tally) if options.redact else None
        )
        self.store = Store(options.store or data / "oddlog.db", tenant=name)
        need = (options.learn_s, options.learn_lines)
        challenging = opening.challenging(self.store, *need)
        models = Models(opening.versions, opening.open, opening.beginning(*need), challenging)
        stream, heed = models.open() if opening.has_model else (None, lambda: None)
        names = [one.name for one in sinks]
        worker = Worker(self._spool, stream, self.store, sinks=names, heed=heed, models=models, links=links)
        watching = Watching(worker, opening.path, name=name)
        brought, self.places = intakes(self._spool)
        keeper = Keeper(self.store, data / "history", options.keep_s)
        self._started: list[Any] = []
        self._threads: list[Any] = [*brought, worker, Dispatcher(self.store, sinks), keeper]
        parts = [partial(one.install, watching=watching) for one in (reading, pages)]
        self.app = make_app(worker, rate=Rate(options.rate), intakes=brought, parts=parts)

    def start(self) -> None:
        """Begin: what judges before what brings lines."""
        for one in reversed(self._threads):
            one.start()
            self._started.append(one)

    def stop(self) -> None:
        """Stop in order: what brings lines first."""
        for one in reversed(self._started):
            one.stop()
        self.store.close()
        self._spool.close()


def tenants_of(named: Sequence[str], data: Path) -> list[tuple[str, Path | None, Path]]:
    """Return name, model and folder of each tenant that ``NAME`` or ``NAME=MODEL`` names.

    Raises
    ------
    ConfigError
        If a name makes no sense, or is there twice.

    """
    from oddlog.errors import ConfigError
    from oddlog.store.tokens import require_tenant

    found: dict[str, tuple[str, Path | None, Path]] = {}
    for text in named:
        name, _, model = text.partition("=")
        require_tenant(name)
        if not name or name in found:
            raise ConfigError(f"The tenant '{name}' is named twice or not at all.", "Write --tenant NAME=MODEL.")
        found[name] = (name, Path(model) if model else None, data / "tenants" / name)
    return list(found.values())


def by_tenant(texts: Sequence[str], tenants: Collection[str], option: str) -> dict[str, list[str]]:
    """Return what each tenant is given of ``TENANT=TEXT``; without a name before it is the default tenant's, "".

    >>> by_tenant(["file:a.jsonl", "acme=file:b.jsonl", "loki+http://h?query={a=1}"], ["acme"], "--sink")
    {'': ['file:a.jsonl', 'loki+http://h?query={a=1}'], 'acme': ['file:b.jsonl']}

    Raises
    ------
    ConfigError
        If there is no tenant of that name.

    """
    import re

    from oddlog.errors import ConfigError, did_you_mean

    found: dict[str, list[str]] = {name: [] for name in ("", *tenants)}
    for text in texts:
        named = re.match(r"([\w-]+)=", text)
        name = named[1] if named else ""
        if name not in found:
            meant = did_you_mean(name, tenants)
            raise ConfigError(
                f"{option} {text} names the tenant '{name}', which is not served.",
                f"{meant} Add --tenant {name}; for a path that is called so write ./{text}".strip(),
            )
        found[name].append(text[named.end() :] if named else text)
    return found


def listening(host: str, port: int) -> tuple[socket, str]:
    """Return a socket that is bound, and will be listened at, and how it is called: ``HOST:PORT``.

    Raises
    ------
    ConfigError
        If it cannot be had.

    """
    import socket

    from oddlog.errors import ConfigError

    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        door = socket.socket(family, kind, number)
        try:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(address)
        except OSError:
            door.close()
            raise
    except OSError as error:
        busy = error.errno == errno.EADDRINUSE
        why = "another program listens there" if busy else str(error.strerror or error)
        hint = f"Give another port: --port {port + 1}." if busy and port < MOST_PORT else "Try --host 127.0.0.1."
        raise ConfigError(f"{host}:{port} cannot be listened at: {why}.", hint) from error
    named = f"[{host}]" if ":" in host else host
    return door, f"{named}:{door.getsockname()[1]}"


def tls_options(cert: Path | None, key: Path | None, clients: Path | None) -> dict[str, Any]:
    """Return what the server is told of TLS; nothing for none.

    Raises
    ------
    ConfigError
        If half of it is missing, or a file is none.

    """
    import ssl

    from oddlog.errors import ConfigError

    if cert is None and key is None and clients is None:
        return {}
    if cert is None or key is None:
        raise ConfigError("TLS needs a certificate and its key.", "Give --tls-cert and --tls-key.")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        if clients is not None:
            context.load_verify_locations(clients)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"TLS cannot be used: {error.strerror or error}.", "See the files of --tls-…: PEM."
        ) from error
    options: dict[str, Any] = {"ssl_certfile": str(cert), "ssl_keyfile": str(key)}
    if clients is not None:
        options |= {"ssl_ca_certs": str(clients), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return options
