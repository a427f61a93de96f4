"""Templates and their filters, and the headers that every page has."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from oddlog.errors import MissingExtraError
from oddlog.incidents import severity_word
from oddlog.reports.cards import message, reason_text
from oddlog.reports.cards import template as marked
from oddlog.reports.elements import markup, visible
from oddlog.reports.wording import length, moment, plural, probability, span
from oddlog.types import source_name

try:
    import jinja2
    from fastapi.responses import HTMLResponse, Response
    from markupsafe import Markup
except ImportError as error:
    raise MissingExtraError("The page", "service") from error

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
FOREVER = "public, max-age=31536000, immutable"
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_STATIC = re.compile(r"[\w.-]+\.(js|css|svg)")
_SHORT_S = 90.0


def page(template: str, **values: Any) -> HTMLResponse:
    """Return a page, or a part of one, made from a template."""
    return HTMLResponse(_environment().get_template(template).render(**values), headers=HEADERS)


def static(name: str) -> Response:
    """Return one of our own files; nothing else can be named."""
    content = _files().get(name)
    if content is None:
        return Response("There is no such file.", 404, media_type="text/plain", headers=HEADERS)
    kind = _KINDS[name[name.rindex(".") :]]
    headers = {"Cache-Control": FOREVER, "X-Content-Type-Options": "nosniff", "Content-Security-Policy": POLICY}
    return Response(content, media_type=kind, headers=headers)


@cache
def _files() -> Mapping[str, bytes]:
    """Return what lies in `static/`, and the style that reports have too, by name."""
    here = files("oddlog.web").joinpath("static")
    found = {one.name: one.read_bytes() for one in here.iterdir() if _STATIC.fullmatch(one.name)}
    return {**found, "report.css": files("oddlog.reports").joinpath("style.css").read_bytes()}


@cache
def _address(name: str) -> str:
    """Return where a file is found: another address once it changes, so that it may be kept for ever."""
    return f"/static/{name}?{hashlib.sha256(_files()[name]).hexdigest()[:12]}"


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("oddlog.web", "templates"),
        autoescape=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "reason": lambda text: _markup(reason_text(text)),
        "template": lambda text: _markup(marked(text)),
        "message": lambda text: _markup(message(text or "")),
        "plural": plural,
        "probability": probability,
        "n": lambda value: f"{value:,}",
        "share": share,
        "times": times,
        "length_of": length,
        "ago": ago,
        "moment": lambda value: moment(as_time(value)),
        "span": lambda one: span(as_time(one.get("start")), as_time(one.get("end"))),
        "lasted": lasted,
        "clock": clock,
        "iso": lambda value: as_time(value).isoformat(timespec="seconds") if value else "",  # type: ignore[union-attr]
        "source_name": source_name,
    }
    made.globals |= {"severity": lambda one: severity_word(one.severity, one.urgency), "static": _address}
    return made


def _markup(child: Any) -> Markup:
    return Markup(str(markup(child)))  # noqa: S704 - `elements.markup` has escaped it


def as_time(value: datetime | str | float | None) -> datetime | None:
    """Return a time from what JSON or the store has: ISO 8601, or seconds since the epoch."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromtimestamp(value, UTC)


def ago(then: datetime | str | float | None, now: datetime) -> str:
    """Return how long ago something was.

    >>> now = datetime(2026, 3, 3, 14, tzinfo=UTC)
    >>> ago("2026-03-03T13:20:00Z", now), ago(now, now), ago(None, now)
    ('40 min ago', 'now', 'never')
    """
    time = as_time(then)
    if time is None:
        return "never"
    seconds = (now - time).total_seconds()
    if seconds < 1:
        return "now"
    # One unit says enough of what is long past.
    return f"{length(seconds) if seconds < _SHORT_S else _first(length(seconds))} ago"


def _first(said: str) -> str:
    parts = said.split(" ")
    return " ".join(parts[:2])


def lasted(one: Mapping[str, Any]) -> str:
    """Return how long an incident lasted; nothing if that was a moment."""
    start, end = as_time(one.get("start")), as_time(one.get("end"))
    return "" if start is None or end is None or start == end else length((end - start).total_seconds())


def clock(value: str | None) -> str:
    """Return the time of a line to the millisecond.

    >>> clock("2026-03-03T14:00:08.123456+00:00")
    '14:00:08.123'
    """
    time = as_time(value)
    return "" if time is None else f"{time:%H:%M:%S}.{time.microsecond // 1000:03d}"


def share(value: float) -> str:
    """Return a share in percent, with as many digits as say something.

    >>> share(0.1234), share(0.00041), share(0.0), share(1.0)
    ('12 %', '0.041 %', '0 %', '100 %')
    """
    percent = value * 100
    if percent == 0 or percent >= 10:  # noqa: PLR2004 - two digits
        return f"{percent:.0f} %"
    return f"{percent:.2g} %"


def times(value: float) -> str:
    """Return a factor.

    >>> times(12.3), times(0.25), times(2.5)
    ('12 ×', '1/4', '2.5 ×')
    """
    if value >= 1:
        return f"{value:,.0f} ×" if value >= 10 else f"{value:.1f} ×"  # noqa: PLR2004
    return f"1/{1 / value:,.0f}" if value > 0 else "none"
