"""The addresses of the page, and what each shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from oddlog import __version__
from oddlog.errors import ConfigError, MissingExtraError, ModelError
from oddlog.service.gate import FRONT
from oddlog.service.watching import Watching, Who
from oddlog.store import Asked, Stored, StoreUnavailableError
from oddlog.types import LEVELS
from oddlog.web.asking import ANSWERS, PAGE, RANGES, Filter, Stretch, mute_until
from oddlog.web.day import figures
from oddlog.web.rendering import page, static
from oddlog.web.rules import FORMS, fields_of
from oddlog.web.types import KINDS, MOST, chosen, types

try:
    from fastapi import FastAPI, Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import RedirectResponse, Response
except ImportError as error:
    raise MissingExtraError("The page", "service") from error

MOST_GOING = 100  # incidents that go on, on the first page; the others are behind a link
MOST_BODY = 16_384  # bytes of a form
LATEST = 5  # incidents that are over, and dead letters, at a glance
ALIKE = 10
MOST_ANSWERS = 500
DAYS = 30  # of message types
Shown = Callable[[Request], Response]


@dataclass(frozen=True)
class _Tab:
    name: str
    address: str


TABS = (
    _Tab("Odd now", "/"),
    _Tab("Incidents", "/incidents"),
    _Tab("Time line", "/timeline"),
    _Tab("Templates", "/templates"),
    _Tab("Sources", "/sources"),
    _Tab("Rules", "/rules"),
    _Tab("Model", "/model"),
    _Tab("Answers", "/answers"),
)


def install(app: FastAPI, watching: Watching) -> None:
    """Add the page to an application."""
    pages = _Pages(watching)
    for address, show in (
        (FRONT, pages.now),
        ("/incidents", pages.incidents),
        ("/incidents/{id_}", pages.incident),
        ("/timeline", pages.timeline),
        ("/templates", pages.templates),
        ("/sources", pages.sources),
        ("/rules", pages.rules),
        ("/model", pages.model),
        ("/answers", pages.answers),
    ):
        handle = _shown(show, watching)
        app.add_api_route(address, handle, methods=["GET"], include_in_schema=False, response_model=None)
    for address, do in (
        ("/answers", pages.answer),
        ("/answers/{number}/undo", pages.undo),
        ("/model/marks/{number}/undo", pages.unmark),
        ("/rules", pages.set_rule),
        ("/rules/{number}/undo", pages.undo_rule),
        ("/model", pages.choose),
    ):
        app.add_api_route(address, _done(do), methods=["POST"], include_in_schema=False, response_model=None)

    @app.get("/static/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        return static(name)


_NOTHING_NEAR: dict[str, Any] = {"key": "", "noun": "", "differences": [], "lines": []}


def _shown(show: Shown, watching: Watching) -> Any:
    async def handle(request: Request) -> Response:
        try:
            watching.require_answers()
        except StoreUnavailableError as error:
            return _said(request, str(error), 503)
        return await run_in_threadpool(_safely, show, request)

    return handle


def _done(do: Callable[[Request, Mapping[str, str]], Response]) -> Any:
    async def handle(request: Request) -> Response:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_BODY:
                return _said(request, "That is too much text.", 413)
        try:
            form = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=32))
        except ValueError:
            return _said(request, "This is no form.", 400)
        return await run_in_threadpool(_safely, lambda asked: do(asked, form), request)

    return handle


def _safely(show: Shown, request: Request) -> Response:
    try:
        return show(request)
    except StoreUnavailableError as error:
        return _said(request, str(error), 503)
    except (ConfigError, ModelError) as error:
        return _said(request, str(error), 400)


def _said(request: Request, says: str, status: int) -> Response:
    if request.headers.get("hx-request"):
        made = page("_said.html", says=says)
    else:
        made = page("said.html", **_around(request, None), says=says, code=status)
    made.status_code = status
    return made


def sign_in(says: str, wanted: str) -> Response:
    """Return the page to sign in at: what went wrong, and where to go afterwards."""
    around = {"tabs": (), "here": "/login", "who": Who(), "version": __version__, "tenant": "", "status": None}
    return page("login.html", **around, says=says, next=wanted)


def who(request: Request) -> Who:
    """Return who asks, as whoever let the request through has found out."""
    found: Who = request.scope.get("who") or Who()
    return found


def _around(request: Request, watching: Watching | None) -> dict[str, Any]:
    """Return what every page has around what it shows."""
    return {
        "tabs": TABS,
        "here": request.url.path if request.url.path != FRONT else "/",
        "who": who(request),
        "version": __version__,
        "tenant": watching.name if watching is not None else "",
        "status": None if watching is None else watching.status(),
    }


def _undone(request: Request, form: Mapping[str, str]) -> tuple[int, str]:
    """Return the number of what is taken back, and by whom."""
    number = request.path_params["number"]
    if not number.isdecimal() or len(number) > 9:  # noqa: PLR2004 - digits
        raise ConfigError(f"There is nothing with the number {number[:20]}.", "Load the page anew.")
    return int(number), who(request).name or form.get("who", "").strip()[:64]


class _Pages:
    def __init__(self, watching: Watching) -> None:
        self._watching, self._store = watching, watching.store

    def _page(self, request: Request, name: str, **values: Any) -> Response:
        now = self._watching.now()
        return page(
            name, **_around(request, self._watching), now=now, may_answer="admin" in who(request).scopes, **values
        )

    # -- what is odd -----------------------------------------------------------------------------------------

    def now(self, request: Request) -> Response:
        going = self._watching.incidents(Asked(state="going", answer="open", order="pressing", limit=MOST_GOING))
        lately = self._watching.incidents(Asked(state="over", answer="open", limit=LATEST))
        last = self._store.last_minute()
        words = {"going": going, "lately": lately, "rate": self._rate(last), "last": last}
        name = "_now.html" if request.headers.get("hx-request") else "now.html"
        return self._page(request, name, **words)

    def _rate(self, last: int | None) -> float:
        """Return lines a minute, of the last five minutes of which there are any."""
        if last is None:
            return 0.0
        return float(sum(row["lines"] for row in self._store.minutes(last - 4, last + 1)) / 5)

    def incidents(self, request: Request) -> Response:
        wanted = Filter.of(request.query_params)
        found = self._watching.incidents(wanted.asked(PAGE))
        rows = {"found": found, "wanted": wanted}
        if wanted.after or request.headers.get("hx-target", "").endswith("rows"):
            return self._page(request, "_rows.html", **rows)
        names = {kind: self._store.names(kind) for kind in ("service", "host")}
        return self._page(request, "incidents.html", names=names, answers=ANSWERS, **rows)

    def incident(self, request: Request) -> Response:
        found = self._store.incident(request.path_params["id_"])
        if found is None:
            return _said(request, "There is no such incident; it may have been forgotten.", 404)
        return self._page(request, "incident.html", **self._one(found))

    def _one(self, found: Stored) -> dict[str, Any]:
        alike = self._watching.incidents(Asked(pattern=found.pattern, limit=ALIKE + 1))
        others = [one for one in alike.rows if one.id != found.id][:ALIKE]
        return {
            "one": found,
            "near": _NOTHING_NEAR | dict(self._store.closeup(found.id)),
            "others": others,
            "n_others": alike.total - 1,
            "given": self._given(found),
        }

    def _given(self, found: Stored) -> tuple[int, Any, str] | None:
        """Return the answer that holds for an incident, with its number."""
        holding = (row for row in self._watching.answers() if row[2] == "holds" and found.pattern in row[1].covers)
        return next(holding, None)

    # -- answers ---------------------------------------------------------------------------------------------

    def answers(self, request: Request) -> Response:
        given = self._watching.answers()
        return self._page(request, "answers.html", given=given[:MOST_ANSWERS], n_given=len(given))

    def answer(self, request: Request, form: Mapping[str, str]) -> Response:
        id_, word = form.get("id", ""), form.get("answer", "")
        until = mute_until(form.get("hours", ""), self._watching.now()) if word == "mute" else None
        asked = who(request)
        signed = asked.name or form.get("who", "").strip()[:64]
        note = form.get("note", "").strip()[:500]
        number = self._watching.answer(id_, word, who=signed, note=note, until=until)
        return self._answered(request, form, id_, number, word)

    def undo(self, request: Request, form: Mapping[str, str]) -> Response:
        number, signed = _undone(request, form)
        undone = self._watching.undo(number, who=signed)
        return self._answered(request, form, form.get("id", "") or undone.id, 0, "")

    def _answered(self, request: Request, form: Mapping[str, str], id_: str, number: int, word: str) -> Response:
        """Show what has become of it where it was asked; without scripts, go back to the page."""
        found = self._store.incident(id_)
        if not request.headers.get("hx-request"):
            return RedirectResponse(f"/incidents/{found.id}" if found else "/answers", 303)
        if form.get("at") == "row" and found is not None:
            return self._page(request, "_row.html", one=found, number=number, word=word, wanted=Filter())
        if form.get("at") == "list":
            given = self._watching.answers()
            return self._page(request, "_given.html", given=given[:MOST_ANSWERS], n_given=len(given))
        if found is None:
            raise ConfigError("There is no such incident.", "")
        return self._page(request, "_answer.html", one=found, given=self._given(found))

    # -- what goes by ----------------------------------------------------------------------------------------

    def timeline(self, request: Request) -> Response:
        stretch = self._stretch(request, "24h")
        service = request.query_params.get("service", "")
        services = self._store.services(stretch.since, stretch.until)
        shown = {"stretch": stretch, "ranges": RANGES, "service": service, "services": services}
        return self._page(request, "timeline.html", **shown)

    def _stretch(self, request: Request, usual: str) -> Stretch:
        name = request.query_params.get("range", usual)
        return Stretch.of(name, self._store.last_minute(), self._watching.now())

    def templates(self, request: Request) -> Response:
        asked = request.query_params.get("kind", "new")
        kind = next((one for one in KINDS if one == asked), None)
        if kind is None:
            raise ConfigError(f"'{asked[:40]}' is no kind of message types.", f"There are: {', '.join(KINDS)}.")
        words = request.query_params.get("words", "")[:200]
        last = self._store.last_minute()
        seen = self._store.types((last or 0) // 1_440 - DAYS)
        every = types(self._watching.types(), seen)
        numbers = {one: len(chosen(every, one)) for one in KINDS}
        found = chosen(every, kind, words)
        values = {"kind": kind, "kinds": numbers, "words": words, "found": found[:MOST], "n_found": len(found)}
        name = "_types.html" if request.headers.get("hx-request") else "templates.html"
        return self._page(request, name, days=DAYS, **values)

    def sources(self, request: Request) -> Response:
        dead = self._store.letters("dead", LATEST)
        name = "_sources.html" if request.headers.get("hx-request") else "sources.html"
        return self._page(request, name, sources=self._store.sources(), dead=dead)

    # -- rules -----------------------------------------------------------------------------------------------

    def rules(self, request: Request) -> Response:
        rules, budget = self._watching.ruling.rules(), self._watching.ruling.budget()
        asked = [one for one in rules if one.kind != "maintenance"]
        counts = {"broken": sum(one.is_broken for one in asked), "n_rules": len(asked)}
        return self._page(request, "rules.html", rules=rules, budget=budget, forms=FORMS, levels=LEVELS, **counts)

    def set_rule(self, request: Request, form: Mapping[str, str]) -> Response:
        kind = form.get("kind", "")
        signed = who(request).name or form.get("who", "").strip()[:64]
        self._watching.ruling.set(kind, fields_of(kind, form), who=signed)
        return RedirectResponse("/rules", 303)

    def undo_rule(self, request: Request, form: Mapping[str, str]) -> Response:
        number, signed = _undone(request, form)
        self._watching.ruling.undo(number, who=signed)
        return RedirectResponse("/rules", 303)

    def unmark(self, request: Request, form: Mapping[str, str]) -> Response:
        number, signed = _undone(request, form)
        self._watching.unmark(number, who=signed)
        return RedirectResponse("/model", 303)

    def model(self, request: Request) -> Response:
        card = self._watching.model()
        stretch = Stretch.of("24h", self._store.last_minute(), self._watching.now())
        minutes = self._store.minutes(stretch.since, stretch.until, 60)
        scores = self._store.scores(stretch.since, stretch.until, 60)
        rates = [view["rate"] for view in card.get("views", ())] or [1e-3]
        choosing = self._watching.choosing
        return self._page(
            request,
            "model.html",
            card=card,
            day=figures(minutes, scores, max(rates)),
            marks=self._watching.marks(),
            drifted=choosing.drift(),
            challenger=choosing.challenger(),
            versions=choosing.versions(),
        )

    def choose(self, _: Request, form: Mapping[str, str]) -> Response:
        self._watching.choosing.do(form.get("do", ""), form.get("model", "")[:64])
        return RedirectResponse("/model", 303)
