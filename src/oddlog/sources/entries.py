"""Entries of log stores as lines of JSON, alike whether they were pushed or asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

LONGEST_LINE = 64 << 10  # characters, as in files

SERVICE_LABELS = ("service_name", "service", "app", "application", "job", "container", "unit")
_MESSAGE = ("message", "msg", "log", "body", "event.original")


def as_line(told: Mapping[str, Any], message: str) -> str:
    """Return a line of JSON: what is told of a message beside it.

    >>> as_line({"level": "INFO"}, "hello")
    '{"level":"INFO","message":"hello"}'
    """
    content = {name: value for name, value in told.items() if name not in ("message", "msg", "log")}
    return orjson.dumps({**content, "message": message.rstrip("\r\n")[:LONGEST_LINE]}, default=str).decode()


def loki_service(labels: Mapping[str, str]) -> str | None:
    """Return the service that the labels of a Loki stream name.

    >>> loki_service({"job": "shop", "app": "pay"})
    'pay'
    """
    return next((labels[name] for name in SERVICE_LABELS if labels.get(name)), None)


def loki_line(labels: Mapping[str, str], time_ns: str, line: str, metadata: Mapping[str, str]) -> str:
    """Return an entry of a Loki stream as a line."""
    service = loki_service(labels)
    told = {**labels, **metadata, "timestamp": str(time_ns)}
    return as_line(told | ({"service": service} if service else {}), line)


def document_line(raw: bytes) -> str:
    """Return a document of Elasticsearch as a line; of one that is too long the message is cut."""
    text = raw.decode("utf-8", "replace").strip()
    if len(text) <= LONGEST_LINE:
        return text
    document = orjson.loads(text)
    long = next((name for name in _MESSAGE if isinstance(document.get(name), str)), None)
    if long is None:
        return text[:LONGEST_LINE]
    room = max(LONGEST_LINE - len(text) + len(document[long]), 1_024)
    return orjson.dumps({**document, long: document[long][: room // 2]}).decode()
