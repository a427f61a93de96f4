"""What programs read and say, as ``/v1``: incidents page by page, rates, answers, deployments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import orjson

from oddlog.errors import ConfigError, MissingExtraError, ModelError
from oddlog.feedback import Mark
from oddlog.incidents import severity_word
from oddlog.service.watching import Watching, Who
from oddlog.store import Asked, Stored, StoreUnavailableError

try:
    from fastapi import Depends, FastAPI, Path, Query, Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import JSONResponse, Response
    from pydantic import BaseModel, ConfigDict, Field
except ImportError as error:
    raise MissingExtraError("The service", "service") from error

MOST_SHOWN = 1_000
MOST_BANDS = 200  # incidents of a chart
POINTS = 360
"""Points of a chart, about."""
RANGES = {"1h": 60, "6h": 360, "24h": 1_440, "7d": 10_080, "30d": 43_200}  # minutes
LONGEST = 366 * 24 * 3_600  # seconds that a mute or a deployment may last
YEARS = (1970, 9998)  # of times that are taken
"""What is asked for: text without characters that no database holds."""
Text = Annotated[str, Field(max_length=256, pattern=r"^[^\x00]*$")]
Short = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]
Id = Annotated[str, Path(max_length=64, description="The id of an incident.")]


class Given(BaseModel):
    """An answer to an incident."""

    model_config = ConfigDict(extra="forbid")
    incident: Annotated[str, Field(max_length=64, description="The id of an incident.", examples=["3f2a9c1b00d4e5f6"])]
    answer: Literal["usual", "anomalous", "mute"]
    until: datetime | None = Field(None, description="When a mute ends; for good if not given.")
    note: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")] = ""
    who: Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")] = ""


class Change(BaseModel):
    """A deployment."""

    model_config = ConfigDict(extra="forbid")
    service: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00]*$", examples=["payments"])]
    version: Annotated[str, Field(max_length=256, pattern=r"^[^\x00]*$", examples=["3.8.0"])] = ""
    time: datetime | None = Field(None, description="When it was deployed; now if not given. Without an offset: UTC.")
    within_s: Annotated[float, Field(gt=0, le=LONGEST, allow_inf_nan=False)] = 86_400.0
    who: Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")] = ""


class Choice(BaseModel):
    """What is to be done with the models."""

    model_config = ConfigDict(extra="forbid")
    do: Literal["learn", "challenge", "promote", "drop", "use", "rollback"]
    model: Annotated[str, Field(max_length=64, pattern=r"^[0-9a-f]*$", description="Of challenge and use.")] = ""


class NewRule(BaseModel):
    """A rule, a maintenance window or a budget; its fields are those of a file of rules (docs/live.md)."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["never", "always", "limit", "maintenance", "budget"]
    fields: Annotated[
        dict[Annotated[str, Field(max_length=32)], int | float | Short | list[Short]],
        Field(max_length=12, examples=[{"name": "out of memory", "match": "OutOfMemoryError"}]),
    ]
    who: Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")] = ""


class Told(BaseModel):
    """What is told of what went wrong."""

    error: str


def install(app: FastAPI, watching: Watching) -> None:
    """Add these endpoints to an application."""
    reads = _Reads(watching)

    async def asks() -> None:
        watching.require_answers()

    refused: dict[int | str, dict[str, Any]] = {400: {"model": Told}, 503: {"model": Told}}
    missing: dict[int | str, dict[str, Any]] = {404: {"model": Told}}
    answers = [Depends(asks)]
    for path, read, more in (
        ("/v1/incidents", reads.incidents, {}),
        ("/v1/incidents/{id_}", reads.incident, missing),
        ("/v1/rates", reads.rates, {}),
        ("/v1/sources", reads.sources, {}),
        ("/v1/templates", reads.templates, {}),
        ("/v1/model", reads.model, {}),
        ("/v1/models", reads.models, {}),
        ("/v1/drift", reads.drift, {}),
        ("/v1/status", reads.status, {}),
        ("/v1/answers", reads.answers, {}),
        ("/v1/changes", reads.changes, {}),
        ("/v1/rules", reads.rules, {}),
    ):
        app.add_api_route(path, read, methods=["GET"], tags=["read"], response_model=None, responses=refused | more,
                          dependencies=answers)  # fmt: skip
    app.add_api_route("/v1/answers", reads.answer, methods=["POST"], status_code=201, tags=["say"],
                      response_model=None, responses=refused | missing, dependencies=answers)  # fmt: skip
    app.add_api_route("/v1/rules", reads.set_rule, methods=["POST"], status_code=201, tags=["say"],
                      response_model=None, responses=refused)  # fmt: skip
    app.add_api_route("/v1/changes/{number}", reads.unchange, methods=["DELETE"], tags=["say"], response_model=None,
                      responses=refused | missing)  # fmt: skip
    app.add_api_route("/v1/rules/{number}", reads.undo_rule, methods=["DELETE"], tags=["say"], response_model=None,
                      responses=refused | missing)  # fmt: skip
    app.add_api_route("/v1/answers/{number}", reads.undo, methods=["DELETE"], tags=["say"], response_model=None,
                      responses=refused | missing)  # fmt: skip
    app.add_api_route("/v1/models", reads.choose, methods=["POST"], tags=["say"],
                      response_model=None, responses=refused | {409: {"model": Told}})  # fmt: skip
    app.add_api_route("/v1/changes", reads.change, methods=["POST"], status_code=201, tags=["say"],
                      response_model=None, responses=refused | {409: {"model": Told}})  # fmt: skip

    @app.exception_handler(StoreUnavailableError)
    async def unavailable(_: Request, error: StoreUnavailableError) -> Response:
        return JSONResponse({"error": str(error)}, 503, headers={"Retry-After": "5"})

    @app.exception_handler(ModelError)
    async def unwritable(_: Request, error: ModelError) -> Response:
        return JSONResponse({"error": str(error)}, 503, headers={"Retry-After": "5"})  # answers and marks: a full disk

    @app.exception_handler(ConfigError)
    async def refuse(_: Request, error: ConfigError) -> Response:
        return JSONResponse({"error": str(error)}, 400)


class _Reads:
    def __init__(self, watching: Watching) -> None:
        self._watching, self._store = watching, watching.store

    async def incidents(
        self,
        state: Literal["", "going", "over", "withdrawn"] = "",
        answer: Literal["", "open", "usual", "mute", "anomalous"] = "",
        order: Literal["latest", "pressing"] = "latest",
        urgency: Literal["", "alert", "notice"] = "",
        service: Text = "",
        host: Text = "",
        pattern: Text = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST_SHOWN)] = 100,
        after: Annotated[Text, Query(description="`next` of the page before.")] = "",
    ) -> Response:
        """Return incidents page by page: `next` is given back as `after` for the next one; empty at the end."""
        asked = Asked(state, _utc(since), _utc(until), service, host, pattern, urgency, answer, order, limit, after)
        page = await run_in_threadpool(self._watching.incidents, asked)
        return _json({"incidents": [told(one) for one in page.rows], "total": page.total, "next": page.next})

    async def incident(self, id_: Id) -> Response:
        """Return one incident, with its lines in context and what was expected."""
        found = await run_in_threadpool(self._store.incident, id_)
        if found is None:
            return _refusal(404, "There is no such incident.")
        return _json(told(found) | {"near": await run_in_threadpool(self._store.closeup, id_)})

    async def rates(
        self,
        range: Literal["1h", "6h", "24h", "7d", "30d"] = "24h",  # noqa: A002 - the parameter's name
        service: Text = "",
    ) -> Response:
        """Return lines, errors, odd windows and the highest score over time, as columns, and the incidents there."""
        return _json(await run_in_threadpool(self._rates, range, service))

    def _rates(self, name: str, service: str) -> dict[str, Any]:
        """Return columns by step, up to the last minute there is: logs that are replayed are not of today."""
        store = self._store
        last = store.last_minute()
        end = (int(self._watching.now().timestamp() // 60) if last is None else last) + 1
        step = max(1, -(-RANGES[name] // POINTS))
        since = end - RANGES[name]
        starts = list(range(since, end, step))
        place = {minute: i for i, minute in enumerate(starts)}
        columns: dict[str, list[float]] = {key: [0.0] * len(starts) for key in ("lines", "errors", "unseen", *_JUDGED)}
        for row in store.minutes(since, end, step, service):
            for key in ("lines", "errors", "unseen"):
                columns[key][place[row["minute"]]] = row[key] / step
        for row in store.scores(since, end, step):
            for key in _JUDGED:
                columns[key][place[row["minute"]]] = row[key]
        between = Asked(
            since=_at(since),
            until=_at(end),
            service=service,
            urgency="alert",
            answer="open",
            order="pressing",
            limit=MOST_BANDS,
        )
        bands = [_band(one) for one in self._watching.incidents(between).rows if one.incident["start"]]
        return {"time": [minute * 60 for minute in starts], "step_s": step * 60, **columns, "incidents": bands}

    async def sources(self) -> Response:
        """Return where lines come from: how many, of when the last one is, when it was judged."""
        return _json({"sources": await run_in_threadpool(self._store.sources)})

    async def templates(self, days: Annotated[int, Query(ge=1, le=366)] = 30) -> Response:
        """Return the message types of the last days, and of the model: key, text, level, lines here and in training."""

        def found() -> list[dict[str, Any]]:
            seen = {row["key"]: row for row in self._store.types((self._store.last_minute() or 0) // 1_440 - days)}
            none = {"lines": 0, "first": None, "last": None}
            known = [
                {"key": one.key, "text": one.text, "level": one.level, "trained": one.lines}
                | {name: seen.get(one.key, none)[name] for name in none}
                for one in self._watching.types()
            ]
            new = seen.keys() - {one["key"] for one in known}
            return known + [
                {"trained": 0} | {name: seen[key][name] for name in ("key", "text", "level", *none)}
                for key in sorted(new)
            ]

        return _json({"templates": await run_in_threadpool(found)})

    async def model(self) -> Response:
        """Return what the model is and was learned from; an empty object while there is none."""
        return _json(await run_in_threadpool(self._watching.model))

    async def models(self) -> Response:
        """Return the models, the one that judges first, and what a challenger says of the same lines."""
        choosing = self._watching.choosing

        def found() -> dict[str, Any]:
            return {"models": [asdict(one) for one in choosing.versions()], "challenger": choosing.challenger()}

        return _json(await run_in_threadpool(found))

    async def drift(self) -> Response:
        """Return what has drifted since training, and whether to learn on; an empty object while nothing is known."""
        return _json(await run_in_threadpool(self._watching.choosing.drift))

    async def choose(self, choice: Choice) -> Response:
        """Have a model learned on, judge beside the current one, or judge; the service does so within a second."""
        try:
            says = await run_in_threadpool(lambda: self._watching.choosing.do(choice.do, choice.model))
        except (ConfigError, ModelError) as error:
            return _refusal(409, str(error))
        return _json({"says": says})

    async def status(self) -> Response:
        """Return how the service does."""
        return _json(asdict(await run_in_threadpool(self._watching.status)))

    async def answers(self) -> Response:
        """Return all answers, the latest first; `state` says whether each holds."""
        given = await run_in_threadpool(self._watching.answers)
        rows = [{"number": number, "state": state} | one.record() for number, one, state in given]
        return _json({"answers": rows})

    async def answer(self, request: Request, given: Given) -> Response:
        """Answer an incident; it holds at once, for its pattern."""
        if given.until is not None and _utc(given.until) is None:
            return _refusal(400, "This is no time that a mute could end at.")
        if await run_in_threadpool(self._store.incident, given.incident) is None:
            return _refusal(404, "There is no such incident.")
        signed = _who(request).name or given.who
        number = await run_in_threadpool(
            lambda: self._watching.answer(
                given.incident, given.answer, who=signed, note=given.note, until=_utc(given.until)
            )
        )
        return _json({"number": number}, 201)

    async def undo(self, request: Request, number: Annotated[int, Path(ge=1, le=10**9)]) -> Response:
        """Take back an answer."""
        try:
            undone = await run_in_threadpool(lambda: self._watching.undo(number, who=_who(request).name))
        except ConfigError as error:
            return _refusal(404, str(error))
        return _json({"undone": undone.record()})

    async def changes(self) -> Response:
        """Return the deployments that were marked, the latest first."""
        marks = await run_in_threadpool(self._watching.marks)
        return _json({"changes": [{"number": number} | mark.record() for number, mark in marks]})

    async def change(self, request: Request, change: Change) -> Response:
        """Mark a deployment: what is new after it is told as one incident."""
        time = self._watching.now() if change.time is None else _utc(change.time)
        if time is None:
            return _refusal(400, "This is no time that anything could be deployed at.")
        signed = _who(request).name or change.who
        mark = Mark(change.service, change.version, time, timedelta(seconds=change.within_s), signed)
        try:
            number = await run_in_threadpool(self._watching.mark, mark)
        except ConfigError as error:
            return _refusal(409, str(error))
        return _json({"number": number}, 201)

    async def unchange(self, request: Request, number: Annotated[int, Path(ge=1, le=10**9)]) -> Response:
        """Take back the mark of a deployment: what it explained is told again."""
        try:
            undone = await run_in_threadpool(lambda: self._watching.unmark(number, who=_who(request).name))
        except ConfigError as error:
            return _refusal(404, str(error))
        return _json({"undone": undone.record()})

    async def rules(self) -> Response:
        """Return the rules, maintenance windows and the budget that hold, and what was held back."""
        return _json(await run_in_threadpool(self._watching.ruling.as_json))

    async def set_rule(self, request: Request, rule: NewRule) -> Response:
        """Add a rule, a maintenance window, or set the budget (`per_day`, 0 for none); it holds within a second."""
        who = _who(request).name or rule.who
        number = await run_in_threadpool(lambda: self._watching.ruling.set(rule.kind, rule.fields, who=who))
        return _json({"number": number}, 201)

    async def undo_rule(self, request: Request, number: Annotated[int, Path(ge=1, le=10**9)]) -> Response:
        """Take back what was set; what the configuration holds stays."""
        try:
            undone = await run_in_threadpool(lambda: self._watching.ruling.undo(number, who=_who(request).name))
        except ConfigError as error:
            return _refusal(404, str(error))
        return _json({"undone": undone.record()})


_JUDGED = ("windows", "odd", "top")


def told(one: Stored) -> dict[str, Any]:
    """Return an incident as programs are told of it."""
    fields = ("change", "provisional", "stored", "updated", "times")
    here = {name: getattr(one, name) for name in fields}
    return {**one.incident, **here, "answer": one.answer or one.incident.get("answer", "")}


def _band(one: Stored) -> dict[str, Any]:
    start, end = (datetime.fromisoformat(one.incident[name]).timestamp() for name in ("start", "end"))
    says = one.incident["reasons"][0]["text"] if one.incident["reasons"] else one.incident["key"]
    return {
        "id": one.id,
        "start": start,
        "end": end,
        "severity": severity_word(one.severity, one.urgency),
        "says": says,
    }


def _at(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)


def _utc(time: datetime | None) -> datetime | None:
    """Return a time in UTC; None for none, and for one so far away that it has none there."""
    if time is None or not YEARS[0] <= time.year <= YEARS[1]:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _who(request: Request) -> Who:
    return request.scope.get("who") or Who()


def _refusal(status: int, said: str) -> Response:
    return JSONResponse({"error": said}, status)


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_UTC_Z), status, media_type="application/json")


Install = Callable[[FastAPI], None]
