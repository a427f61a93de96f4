"""The endpoints: what existing shippers speak, and what there is to read."""

from __future__ import annotations

import base64
import re
from collections import Counter as Counts
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, Literal

import orjson

from oddlog import __version__
from oddlog.errors import MissingExtraError
from oddlog.service import decoding, described
from oddlog.service.decoding import MOST_BYTES, MalformedError, TooLargeError
from oddlog.service.intakes import Intake
from oddlog.service.limits import Rate, TooFastError
from oddlog.service.worker import Worker
from oddlog.sources.entries import LONGEST_LINE
from oddlog.sources.spool import SpoolFullError
from oddlog.store import StoreUnavailableError

try:
    from anyio import CapacityLimiter, to_thread
    from fastapi import FastAPI, Query, Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import JSONResponse, PlainTextResponse, Response
    from fastapi.routing import APIRoute
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
except ImportError as error:
    raise MissingExtraError("The service", "service") from error

MOST_LAG = 5_000_000  # lines not judged yet, from which on the service is not ready for more
MOST_SHOWN = 1_000
MOST_PUSHING = 40  # pushes that are read and kept at once; further ones wait
_ELASTIC = {"X-Elastic-Product": "Elasticsearch"}  # its clients refuse to talk to anything that does not say so
_ELASTIC_VERSION = "8.15.0"  # what its clients are told, so that they speak to it as they know
_RETRY_S = 5


class Metrics:
    """What is counted for Prometheus."""

    def __init__(self, worker: Worker, intakes: Sequence[Intake] = ()) -> None:
        self.registry = here = CollectorRegistry()
        self.lines = Counter("oddlog_lines", "Lines acknowledged.", ["endpoint"], registry=here)
        self.refused = Counter("oddlog_refused_requests", "Requests refused.", ["endpoint", "reason"], registry=here)
        self.cut = Counter("oddlog_lines_cut", "Lines cut at 64 Ki characters.", registry=here)
        self.seconds = Histogram("oddlog_ingest_seconds", "Time until a push was durable.", ["endpoint"], registry=here)
        spool, letters = worker.spool, partial(_known, worker)
        for name, text, value in (
            ("oddlog_lines_behind", "Lines acknowledged and not judged yet.", lambda: worker.behind),
            ("oddlog_spool_bytes", "Size of the spool on disk.", lambda: spool.n_bytes),
            ("oddlog_windows_open", "Windows that are open.", lambda: _of(worker, "n_open")),
            ("oddlog_windows", "Windows judged.", lambda: _of(worker, "windows")),
            ("oddlog_windows_odd", "Windows that were odd.", lambda: _of(worker, "odd_windows")),
            ("oddlog_lines_odd", "Lines odd by themselves.", lambda: _of(worker, "odd_lines")),
            ("oddlog_incidents", "Incidents told.", lambda: _of(worker, "told")),
            (
                "oddlog_letters_waiting",
                "Incidents that sinks are still to be told of.",
                partial(letters, "waiting"),
            ),
            ("oddlog_letters_dead", "Incidents that a sink refused.", partial(letters, "dead")),
            ("oddlog_store_failing", "Whether nothing can be stored.", lambda: float(worker.failing)),
            ("oddlog_spool_failing", "Whether lines could not be kept lately.", lambda: float(bool(spool.failing))),
            ("oddlog_drifted", "Figures that have drifted since training.", lambda: len(drifted(worker))),
            (
                "oddlog_drift_seconds",
                "For how long the oldest drift has lasted.",
                lambda: 3_600 * max(drifted(worker), default=0),
            ),
            ("oddlog_worker_up", "Whether lines are being judged.", lambda: float(worker.alive)),
        ):
            Gauge(name, text, registry=here).set_function(value)
        self._worker, self._intakes = worker, intakes
        here.register(self)

    def collect(self) -> Iterable[Metric]:
        """Return what was cut, dropped, repaired or let go, by reason, and what each intake has brought."""
        counts: Counts[str] = Counts()
        for tally in (self._worker.tally, *(one.tally for one in self._intakes)):
            counts.update(dict(tally.counts))
        family = CounterMetricFamily("oddlog_counted", "Cut, dropped, repaired or let go.", labels=["reason"])
        for reason, n in counts.items():
            family.add_metric([reason], n)
        yield family
        lines = CounterMetricFamily("oddlog_intake_lines", "Lines kept, by what brought them.", labels=["intake"])
        alive = GaugeMetricFamily("oddlog_intake_up", "Whether it is at work.", labels=["intake"])
        for one in self._intakes:
            lines.add_metric([one.name], one.lines)
            alive.add_metric([one.name], float(one.alive))
        yield from (lines, alive)


def drifted(worker: Worker) -> list[float]:
    """Return for how many hours each figure has drifted that has."""
    return [] if worker.drift is None else [one.hours for one in worker.drift.drifted]


def _of(worker: Worker, what: str) -> float:
    """Return a count of the stream; 0 while there is no model."""
    return 0.0 if worker.stream is None else float(getattr(worker.stream, what))


def make_app(
    worker: Worker,
    *,
    rate: Rate | None = None,
    intakes: Sequence[Intake] = (),
    parts: Sequence[Callable[[FastAPI], object]] = (),
) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    worker : Worker
        Judges what is pushed; started by whoever runs the application.
    rate : Rate, optional
        How many lines a second are taken over HTTP.
    intakes : sequence of Intake
        What else brings lines, for `/metrics` and `/readyz`; started by whoever runs the application.
    parts : sequence of callable
        Add what else there is to read: `reading.install`, the page.

    """
    app = FastAPI(title="oddlog", version=__version__, docs_url=None, redoc_url=None, generate_unique_id_function=_name)
    _Endpoints(worker, rate or Rate(), intakes).install(app)
    for install in parts:
        install(app)
    return app


def _name(route: APIRoute) -> str:
    """Return what OpenAPI calls an endpoint: no two are called alike."""
    return "_".join([*sorted(route.methods or ()), *re.findall(r"\w+", route.path_format)]).lower()


class _Endpoints:
    def __init__(self, worker: Worker, rate: Rate, intakes: Sequence[Intake]) -> None:
        self._worker, self._rate, self._metrics = worker, rate, Metrics(worker, intakes)
        self._intakes = intakes
        self._pushing = CapacityLimiter(MOST_PUSHING)  # threads of their own: those that read may wait for the store

    def install(self, app: FastAPI) -> None:
        for path, methods, handler in (
            ("/v1/lines", ["POST"], self.lines),
            ("/loki/api/v1/push", ["POST"], self.loki),
            ("/_bulk", ["POST", "PUT"], self.bulk),
            ("/{index}/_bulk", ["POST", "PUT"], self.bulk),
            ("/_refresh", ["GET", "POST"], self.refreshed),
            ("/{index}/_refresh", ["GET", "POST"], self.refreshed),
            ("/v1/logs", ["POST"], self.otlp),
            ("/services/collector", ["POST"], self.hec),
            ("/services/collector/event", ["POST"], self.hec),
            ("/services/collector/event/1.0", ["POST"], self.hec),
            ("/services/collector/raw", ["POST"], self.hec_raw),
        ):
            for method in methods:
                said = described.push(path)
                app.add_api_route(path, handler, methods=[method], response_model=None, tags=["push"], **said)
        reads: tuple[tuple[str, Callable[..., Awaitable[Response]]], ...] = (
            ("/", self.root),
            ("/services/collector/health", self.hec_health),
            ("/healthz", self.healthz),
            ("/readyz", self.readyz),
            ("/metrics", self.metrics),
            ("/v1/letters", self.letters),
        )
        for path, read in (*reads, ("/_license", self.license), ("/_cluster/health", self.cluster_health)):
            said = described.read(path)
            kind = PlainTextResponse if said else JSONResponse  # what OpenAPI takes an endpoint's answer for
            app.add_api_route(
                path, read, methods=["GET"], response_model=None, response_class=kind, tags=["read"], **said
            )
        app.add_api_route("/", self.root, methods=["HEAD"], include_in_schema=False)

    # -- push ------------------------------------------------------------------------------------------------

    async def lines(self, request: Request, source: str = "") -> Response:
        """Take lines, one a row: JSON objects or any text. `source` names where they are from."""
        done = await self._take(request, "lines", lambda body: decoding.lines(body, f"http/{source}" if source else ""))
        return done if isinstance(done, Response) else Response(status_code=204)

    async def loki(self, request: Request) -> Response:
        """Take what Loki's push takes: JSON, or snappy-compressed protobuf."""
        json = _is_json(request)
        done = await self._take(request, "loki", decoding.loki_json if json else decoding.loki_protobuf)
        return done if isinstance(done, Response) else Response(status_code=204)

    async def otlp(self, request: Request) -> Response:
        """Take OTLP/HTTP logs: protobuf or JSON."""
        json = _is_json(request)
        done = await self._take(request, "otlp", decoding.otlp_json if json else decoding.otlp_protobuf)
        if isinstance(done, Response):
            return done
        return JSONResponse({}) if json else Response(b"", media_type="application/x-protobuf")

    async def bulk(self, request: Request, index: str = "") -> Response:
        """Take an Elasticsearch _bulk request: documents to index or create."""
        items: list[dict[str, Any]] = []

        def decode(body: bytes) -> decoding.Entries:
            entries, told = decoding.bulk(body, index)
            items.extend(told)
            return entries

        done = await self._take(request, "bulk", decode)
        if isinstance(done, Response):
            done.headers.update(_ELASTIC)
            return done
        errors = any("error" in one for item in items for one in item.values())
        answer = {"took": 1, "errors": errors, "items": items}
        return Response(orjson.dumps(answer), media_type="application/json", headers=_ELASTIC)

    async def hec(self, request: Request) -> Response:
        """Take events of Splunk's HTTP event collector."""
        return await self._hec(request, decoding.hec_events)

    async def hec_raw(self, request: Request, source: str = "raw") -> Response:
        """Take raw lines as Splunk's HTTP event collector does."""
        return await self._hec(request, lambda body: decoding.lines(body, f"hec/{source}"))

    async def _hec(self, request: Request, decode: Callable[[bytes], decoding.Entries]) -> Response:
        done = await self._take(request, "hec", decode)
        return done if isinstance(done, Response) else JSONResponse({"text": "Success", "code": 0})

    async def _take(
        self, request: Request, endpoint: str, decode: Callable[[bytes], decoding.Entries]
    ) -> Response | int:
        """Return how many lines are durable now, or the refusal."""
        try:
            body = await _body(request)
            with self._metrics.seconds.labels(endpoint).time():
                encoding = request.headers.get("content-encoding", "")
                n = await to_thread.run_sync(self._keep, body, encoding, decode, limiter=self._pushing)
        except MalformedError as error:
            return self._refused(endpoint, "malformed", _refusal(400, str(error)))
        except TooLargeError as error:
            return self._refused(endpoint, "too large", _refusal(413, str(error)))
        except TooFastError as error:
            return self._refused(endpoint, "too fast", _refusal(429, str(error), retry_s=error.retry_after_s))
        except SpoolFullError as error:
            return self._refused(endpoint, "full", _refusal(429, str(error), retry_s=error.retry_after_s))
        except OSError as error:
            said = f"Nothing can be written: {error.strerror}."
            return self._refused(endpoint, "disk", _refusal(503, said, retry_s=_RETRY_S))
        self._metrics.lines.labels(endpoint).inc(n)
        return n

    def _keep(self, body: bytes, encoding: str, decode: Callable[[bytes], decoding.Entries]) -> int:
        entries = decode(decoding.inflated(body, encoding))
        self._rate.take(sum(len(texts) for _, texts in entries))
        self._metrics.cut.inc(sum(len(text) >= LONGEST_LINE for _, texts in entries for text in texts))
        return self._worker.spool.append(entries)

    def _refused(self, endpoint: str, reason: str, response: Response) -> Response:
        self._metrics.refused.labels(endpoint, reason).inc()
        return response

    # -- read ------------------------------------------------------------------------------------------------

    async def root(self) -> Response:
        """Say who this is, as Elasticsearch's clients ask first."""
        told = {"name": "oddlog", "tagline": f"oddlog {__version__}", "version": {"number": _ELASTIC_VERSION}}
        return JSONResponse(told, headers=_ELASTIC)

    async def refreshed(self) -> Response:
        """Say that all is shown, as clients of Elasticsearch ask at the end of a bulk; there is nothing to be done."""
        return JSONResponse({"_shards": {"total": 1, "successful": 1, "failed": 0}}, headers=_ELASTIC)

    async def license(self) -> Response:
        """Answer as Elasticsearch does: Filebeat and Logstash ask whether they may write."""
        return JSONResponse({"license": {"status": "active", "type": "basic"}}, headers=_ELASTIC)

    async def cluster_health(self) -> Response:
        """Answer as Elasticsearch does: Vector asks."""
        return JSONResponse({"cluster_name": "oddlog", "status": "green", "timed_out": False}, headers=_ELASTIC)

    async def hec_health(self) -> Response:
        """Answer as Splunk's collector does."""
        return JSONResponse({"text": "HEC is healthy", "code": 17})

    async def healthz(self) -> Response:
        """Say whether the service is alive."""
        alive = self._worker.failure is None
        return PlainTextResponse(
            "ok" if alive else f"the worker has stopped: {self._worker.failure}", 200 if alive else 500
        )

    async def readyz(self) -> Response:
        """Say whether lines should be sent here: they are being judged, and not too many wait."""
        worker = self._worker
        trouble = self._trouble()
        if trouble:
            return PlainTextResponse(trouble, 503)
        learning = worker.stream is None and worker.models is not None
        return PlainTextResponse(f"ok: {worker.models.says}" if learning and worker.models else "ok")

    def _trouble(self) -> str:
        """Return why lines should not be sent here, nothing if they should."""
        worker = self._worker
        if not worker.alive:
            return "no lines are judged"
        if worker.trouble:
            return worker.trouble
        if worker.spool.failing:
            return f"lines cannot be kept: {worker.spool.failing}"
        stopped = next((one for one in self._intakes if one.failure is not None), None)
        if stopped is not None:
            return f"{stopped.name} has stopped: {stopped.failure}"
        if worker.stream is not None and worker.behind > MOST_LAG:
            return f"{worker.behind:,} lines behind"
        return ""

    async def metrics(self) -> Response:
        """Return what Prometheus scrapes."""
        # In a thread: the store is asked, and one that hangs must not keep lines from being taken.
        told = await run_in_threadpool(generate_latest, self._metrics.registry)
        return Response(told, media_type="text/plain; version=0.0.4")

    async def letters(
        self,
        state: Literal["dead", "waiting", "sent", "needless"] = "dead",
        limit: Annotated[int, Query(ge=1, le=MOST_SHOWN)] = 100,
    ) -> Response:
        """Return what sinks were or are to be told."""
        found = await run_in_threadpool(lambda: self._worker.store.letters(state, limit))
        return _json({"letters": [asdict(one) for one in found]})


def token_in(header: str) -> str:
    """Return the token that an Authorization header brings, whatever the shipper's way of it.

    >>> token_in("Bearer s3cret"), token_in("Splunk s3cret"), token_in("Basic b2RkbG9nOnMzY3JldA==")
    ('s3cret', 's3cret', 's3cret')
    """
    scheme, _, said = header.partition(" ")
    if scheme.lower() != "basic":  # Bearer, Splunk, ApiKey
        return said
    try:
        return base64.b64decode(said, validate=True).decode().partition(":")[2]  # RFC 7617: the password
    except ValueError:
        return ""


def _known(worker: Worker, state: str) -> float:
    """Return how many letters are in a state, NaN while the store does not say."""
    try:
        return float("nan") if worker.hangs else worker.store.count_letters(state)
    except StoreUnavailableError:
        return float("nan")


async def _body(request: Request) -> bytes:
    """Return the body, never more of it than is allowed."""
    found = bytearray()
    async for piece in request.stream():
        found += piece
        if len(found) > MOST_BYTES:
            raise TooLargeError(f"The body is larger than {MOST_BYTES >> 20} MiB.", "Push less at a time.")
    return bytes(found)


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").split(";")[0].strip().lower() == "application/json"


def _refusal(status: int, said: str, *, retry_s: int = 0) -> Response:
    return JSONResponse({"error": said}, status, headers={"Retry-After": str(retry_s)} if retry_s else {})


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
