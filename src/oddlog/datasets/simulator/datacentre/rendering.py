"""How an entry is written: as JSON, as syslog, as a line of an access log; whole columns at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache

import polars as pl

from oddlog.datasets.simulator.datacentre.estate import DEVICES, SERVICES
from oddlog.datasets.simulator.datacentre.messages import NUMERIC
from oddlog.datasets.simulator.messages import Message
from oddlog.types import I64

SHAPES = ("json", "syslog", "access")
_PLACE = re.compile(r"\{(\w+)\}")
_FACILITY = 16
"""local0 (RFC 5424, table 1)."""
_SEVERITY = {"DEBUG": 7, "INFO": 6, "NOTICE": 5, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
_STAMPS = {
    "json": "%Y-%m-%dT%H:%M:%S%.6fZ",
    "syslog": "%Y-%m-%dT%H:%M:%S%.6fZ",
    "device": "%b %e %H:%M:%S",
    "access": "%d/%b/%Y:%H:%M:%S +0000",
}
Given = tuple[tuple[str, str], ...]


def stamps(shape: str, time_us: I64) -> pl.Series:
    """Return times [n] as `shape` writes them."""
    return pl.Series(time_us).cast(pl.Datetime("us")).dt.to_string(_STAMPS[shape])


def style_of(shape: str, service: str) -> str:
    """Return how a service writes in `shape`: network devices use the old syslog; empty where it does not at all."""
    if shape == "access":
        return "access" if service == "web" else ""
    return "device" if shape == "syslog" and service in DEVICES else shape


def _fields(message: Message) -> dict[str, str]:
    """Return the fields of a message and the values they hold."""
    pairs = (field.partition("=") for field in message.fields)
    return {name: f"{{{value or name}}}" for name, _, value in pairs}


def _json(message: Message, *, traced: bool) -> str:
    fields = {"ts": "{ts}", "level": message.level, "service": message.service, "host": "{host}"}
    if traced:
        fields["trace_id"] = "{trace_id}"
    fields |= {"msg": message.text, **_fields(message)}
    return ",".join(
        f'"{name}":{text}' if name in NUMERIC else f'"{name}":{json.dumps(text)}' for name, text in fields.items()
    )


def _syslog(message: Message, *, traced: bool) -> str:
    """RFC 5424, section 6; the enterprise number is the one set aside for examples (RFC 5612)."""
    fields = ({"trace_id": "{trace_id}"} if traced else {}) | _fields(message)
    data = "".join(f' {name}="{text}"' for name, text in fields.items())
    return f"{_priority(message)}1 {{ts}} {{host}} {message.service} {_pid(message)} - " + (
        f"[entry@32473{data}] {message.text}" if data else f"- {message.text}"
    )


def _device(message: Message) -> str:
    """RFC 3164, section 4."""
    return f"{_priority(message)}{{ts}} {{host}} {message.service}: {message.text}"


def _access() -> str:
    """Return the combined format, and behind it the time taken in seconds, as nginx is often set up."""
    return '{client} - {user} [{ts}] "{method} {path} HTTP/1.1" {status} {bytes} "-" "{agent}" {seconds}'


def _priority(message: Message) -> str:
    return f"<{_FACILITY * 8 + _SEVERITY[message.level]}>"


def _pid(message: Message) -> int:
    return 1_000 + 37 * SERVICES.index(message.service)


@cache
def layout(style: str, message: Message, given: Given, *, traced: bool) -> tuple[str, ...]:
    """Return a line in pieces: text at even places, names of values at odd ones.

    Values in `given` are written out, so a line of a known method and status has no place for them.
    """
    if style == "access":
        body = _access()
    elif style == "device":
        body = _device(message)
    else:
        body = (_json if style == "json" else _syslog)(message, traced=traced)
    literal = dict(given)
    while any(f"{{{name}}}" in body for name in literal):  # a path holds values of its own
        for name, value in literal.items():
            body = body.replace(f"{{{name}}}", value)
    pieces = _PLACE.split(body)
    if style == "json":
        pieces[0], pieces[-1] = "{" + pieces[0], pieces[-1] + "}"
    return tuple(pieces)


def names_in(message: Message, given: Given, *, traced: bool) -> tuple[str, ...]:
    """Return the names of the values in a line, in a fixed order; they are drawn whatever the shape."""
    return tuple(dict.fromkeys(layout("json", message, given, traced=traced)[1::2]))


def render(pieces: tuple[str, ...], columns: Mapping[str, pl.Series]) -> pl.Series:
    """Return the lines [n] given their pieces and the values [n] that go into them."""
    parts = [pl.col(piece) if i % 2 else pl.lit(piece) for i, piece in enumerate(pieces) if piece]
    wanted = dict.fromkeys(pieces[1::2])
    return pl.DataFrame({name: columns[name] for name in wanted}).select(pl.concat_str(parts)).to_series()
