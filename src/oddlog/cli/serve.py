"""`oddlog serve`: take lines over HTTP, judge them, keep what is odd."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SHADOW = ", sending nothing: it is a shadow."
LOOPBACK = ("127.0.0.1", "::1", "localhost")


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
    token: Annotated[str, typer.Option(help="What every request must bring; needed to listen beyond loopback.")] = "",
    exclude: Annotated[str, typer.Option(help="SQL condition for records to leave out, besides the model's.")] = "",
    lateness: Annotated[str, typer.Option(help="How long to wait for lines that come out of order.")] = "2s",
    sink: Annotated[
        list[str] | None,
        typer.Option(help="Where incidents go: webhook+URL, slack+URL, alertmanager+URL, file:PATH; may be repeated."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(help="What to follow: files, globs, directories, journald://, loki+URL, es+URL; may be repeated."),
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Also judge what a --source holds already, not only what comes now.")
    ] = False,
    syslog: Annotated[
        list[str] | None,
        typer.Option(
            help="Where to listen for syslog: udp://127.0.0.1:5514, tcp://127.0.0.1:5514, "
            "tls://127.0.0.1:6514?cert=FILE&key=FILE; may be repeated."
        ),
    ] = None,
    most_spooled: Annotated[
        int, typer.Option("--most-spooled", help="MiB of lines kept that are not judged yet.", min=1)
    ] = 1_024,
    budget: Annotated[str, typer.Option(help="Tell at most so many incidents a day, the most pressing: 5/day.")] = "",
    rules: Annotated[
        Path | None, typer.Option(help="TOML file of rules (never, always, limit) and maintenance windows.")
    ] = None,
    learn: Annotated[str, typer.Option(help="With no model yet: of how long a time to learn one.")] = "3h",
    learn_lines: Annotated[
        int, typer.Option("--learn-lines", help="With no model yet: of how many lines to learn one.", min=1)
    ] = 10_000,
    *,
    shadow: Annotated[bool, typer.Option("--shadow", help="Judge and keep everything, send nothing.")] = False,
) -> None:
    """Take lines over HTTP (JSON, Loki, OTLP, Elasticsearch _bulk, Splunk HEC) and syslog, judge them, keep incidents.

    Without a model it learns one from what is pushed first, and says how far it is.

    [dim]Example: oddlog serve --data /var/lib/oddlog --learn 3h[/dim]
    """
    from functools import partial

    from oddlog.cli import StoppedError, beginning, prepare, show
    from oddlog.config import parse_duration
    from oddlog.errors import ConfigError, MissingExtraError

    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtraError("oddlog serve", "service") from error
    from oddlog.service import reading
    from oddlog.service.api import make_app
    from oddlog.service.dispatching import Dispatcher
    from oddlog.service.intakes import Intake, open_intakes
    from oddlog.service.models import Models
    from oddlog.service.watching import Watching
    from oddlog.service.worker import Worker
    from oddlog.sinks import parse
    from oddlog.sources.links import Links
    from oddlog.sources.spool import Spool
    from oddlog.store import Store
    from oddlog.types import Tally
    from oddlog.web import pages

    if host not in LOOPBACK and not token:
        raise ConfigError(
            f"Whoever reaches {host} could push lines and read incidents.", "Give --token, or listen at 127.0.0.1."
        )
    sinks = [] if shadow else [parse(text) for text in sink or ()]
    prepare()
    tally = Tally()
    opening = beginning.Opening(model, data, exclude, parse_duration(lateness), tally, beginning.Told(budget, rules))
    spool, store = Spool(data / "spool", tally, most_bytes=most_spooled << 20), Store(data / "oddlog.db")
    models = Models(opening.versions, opening.open, opening.beginning(parse_duration(learn), learn_lines))
    stream, heed = models.open() if opening.has_model else (None, lambda: None)
    worker = Worker(
        *(spool, stream, store),
        sinks=[one.name for one in sinks],
        heed=heed,
        models=models,
        links=Links(source or ()),
    )
    watching = Watching(worker, opening.path)
    dispatcher = Dispatcher(store, sinks)
    intakes, listening = open_intakes(spool, syslog or (), source or (), from_start=from_start)
    places = [f"http://{host}:{port}", *listening]
    threads: list[Intake | Worker | Dispatcher] = [*intakes, worker, dispatcher]
    for one in reversed(threads):
        one.start()
    show.tell_notes(
        [f"Listening at {', '.join(places)}; keeping lines and incidents in {data}.{SHADOW if shadow else ''}"]
    )
    try:
        parts = [partial(one.install, watching=watching) for one in (reading, pages)]
        app = make_app(worker, token=token, intakes=intakes, parts=parts)
        uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, ws="none")
    except StoppedError:
        pass  # somebody wants it to end: that is how it ends
    finally:
        for one in threads:
            one.stop()
        store.close()
        spool.close()
