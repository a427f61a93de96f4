"""What others push, as lines of JSON that `formats` reads: time, level, service and host beside the message.

An entry's own line keeps its header, if it has one: the JSON format reads lines inside lines. Every function returns
texts by source, or raises `MalformedError` and takes nothing.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from oddlog.errors import OddlogError
from oddlog.sources.entries import LONGEST_LINE, as_line, document_line, loki_line, loki_service

Entries = list[tuple[str, list[str]]]
MOST_BYTES = 16 << 20  # of a body, decompressed

_LABEL = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?')
# OpenTelemetry logs data model, SeverityNumber: four to a name, from 1 on
_SEVERITIES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


class MalformedError(OddlogError):
    """What was pushed is not what it says it is."""

    exit_code = 2


class TooLargeError(OddlogError):
    """What was pushed is too large."""


def inflated(body: bytes, encoding: str) -> bytes:
    """Return a body without its ``Content-Encoding``; never more than `MOST_BYTES`."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise MalformedError(f"Content-Encoding {encoding} is not known.", "There are: gzip, deflate, identity.")
    try:
        if encoding == "gzip":
            with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
                out = file.read(MOST_BYTES + 1)
        else:
            out = zlib.decompressobj().decompress(body, MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise MalformedError(f"The body is no {encoding}: {error}.", "Compress it again.") from error
    _require_small(len(out))
    return out


def _require_small(n_bytes: int) -> None:
    if n_bytes > MOST_BYTES:
        raise TooLargeError(f"The body is larger than {MOST_BYTES >> 20} MiB.", "Push less at a time.")


def lines(body: bytes, source: str) -> Entries:
    """Return lines as they are: JSON or any other text."""
    texts = [text[:LONGEST_LINE] for text in body.decode("utf-8", "replace").splitlines() if text.strip()]
    return [(source or "http", texts)] if texts else []


# -- Loki ----------------------------------------------------------------------------------------------------


def loki_json(body: bytes) -> Entries:
    """Return what Loki's ``/loki/api/v1/push`` takes as JSON."""
    streams = _object(body).get("streams")
    if not isinstance(streams, list):
        raise MalformedError("There is no list 'streams'.", "See Grafana Loki's HTTP API, POST /loki/api/v1/push.")
    found: Entries = []
    try:
        for stream in streams:
            labels = stream["stream"]
            entries = [(one[0], one[1], one[2] if len(one) > 2 else {}) for one in stream["values"]]  # noqa: PLR2004
            found.append((_loki_source(labels), [loki_line(labels, *entry) for entry in entries]))
    except (KeyError, IndexError, TypeError) as error:
        raise MalformedError("A stream has no labels or values.", 'Write {"stream": {…}, "values": [[ns, line]]}.') from error  # fmt: skip # noqa: E501
    return found


def loki_protobuf(body: bytes) -> Entries:
    """Return what Loki's push takes as snappy-compressed protobuf (``logproto.PushRequest``)."""
    import cramjam  # noqa: PLC0415 - of the extra `service`

    try:
        _require_small(_varint(body, 0)[0])  # the size of what comes out, as snappy writes it first
        raw = bytes(cramjam.snappy.decompress_raw(body))
        found: Entries = []
        for stream in _messages(raw, 1):
            fields = list(_fields(stream))
            text = b"".join(value for number, value in fields if number == 1 and isinstance(value, bytes))
            labels = {name: _unquoted(value) for name, value in _LABEL.findall(text.decode())}
            told = [_loki_entry(value) for number, value in fields if number == 2 and isinstance(value, bytes)]  # noqa: PLR2004
            found.append((_loki_source(labels), [loki_line(labels, *one) for one in told]))
    except TooLargeError:
        raise
    except Exception as error:
        raise MalformedError("The body is no snappy-compressed push request.", "Push it as JSON instead.") from error
    return found


def _loki_entry(entry: bytes) -> tuple[str, str, dict[str, str]]:
    """Return time (ns), line and structured metadata of an EntryAdapter."""
    seconds = nanos = 0
    line, metadata = "", {}
    for number, value in _fields(entry):
        if number == 1 and isinstance(value, bytes):
            stamp = dict(_fields(value))
            seconds, nanos = int(stamp.get(1, 0)), int(stamp.get(2, 0))
        elif number == 2 and isinstance(value, bytes):  # noqa: PLR2004
            line = value.decode("utf-8", "replace")
        elif number == 3 and isinstance(value, bytes):  # noqa: PLR2004
            pair = {n: text for n, text in _fields(value) if isinstance(text, bytes)}
            metadata[pair[1].decode()] = pair.get(2, b"").decode()
    return str(seconds * 1_000_000_000 + nanos), line, metadata


def _loki_source(labels: Mapping[str, str]) -> str:
    return f"loki/{loki_service(labels) or 'unknown'}"


# -- Elasticsearch -------------------------------------------------------------------------------------------


def bulk(body: bytes, index: str) -> tuple[Entries, list[dict[str, Any]]]:
    """Return the documents of an Elasticsearch ``_bulk`` request, and what to answer about each action."""
    rows = [row for row in body.split(b"\n") if row.strip()]
    found: dict[str, list[str]] = {}
    items: list[dict[str, Any]] = []
    at = 0
    while at < len(rows):
        action = _object(rows[at])
        name = next(iter(action), "")
        if name not in ("index", "create", "update", "delete") or not isinstance(action[name], dict):
            raise MalformedError(f"'{name}' is no action of _bulk.", "There are: index, create.")
        meta = {"_index": action[name].get("_index", index or "logs"), "_id": str(action[name].get("_id", len(items)))}
        if name in ("update", "delete"):
            items.append({name: meta | {"status": 400, "error": {"type": "illegal_argument_exception", "reason": "logs are only added"}}})  # fmt: skip # noqa: E501
            at += 1 if name == "delete" else 2
            continue
        if at + 1 >= len(rows):
            raise MalformedError("The last action has no document.", "End the body with it and a line end.")
        _object(rows[at + 1])
        found.setdefault(f"es/{meta['_index']}", []).append(document_line(rows[at + 1]))
        items.append({name: meta | {"_version": 1, "result": "created", "status": 201}})
        at += 2
    return list(found.items()), items


# -- OpenTelemetry -------------------------------------------------------------------------------------------


def otlp_json(body: bytes) -> Entries:
    """Return the log records of an OTLP/HTTP request in JSON (opentelemetry-proto 1.x)."""
    request = _object(body)
    found: dict[str, list[str]] = {}
    try:
        for resource in request.get("resourceLogs", []):
            told = _json_attributes(resource.get("resource", {}).get("attributes", []))
            for scope in resource.get("scopeLogs", []):
                for record in scope.get("logRecords", []):
                    fields = _json_attributes(record.get("attributes", []))
                    time = str(record.get("timeUnixNano") or record.get("observedTimeUnixNano") or "")
                    trace = {"trace_id": record.get("traceId", ""), "span_id": record.get("spanId", "")}
                    level = record.get("severityText") or _severity(int(record.get("severityNumber", 0)))
                    _otlp_line(found, told, fields, time, level, trace, _json_value(record.get("body", {})))
    except (AttributeError, TypeError, ValueError) as error:
        raise MalformedError("The body is no ExportLogsServiceRequest.", "See opentelemetry.io/docs/specs/otlp.") from error  # fmt: skip # noqa: E501
    return list(found.items())


def otlp_protobuf(body: bytes) -> Entries:
    """Return the log records of an OTLP/HTTP request in protobuf."""
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - of the extra `service`
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest  # noqa: PLC0415

    request = ExportLogsServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise MalformedError("The body is no ExportLogsServiceRequest.", "Send application/x-protobuf.") from error
    found: dict[str, list[str]] = {}
    for resource in request.resource_logs:
        told = {one.key: _proto_value(one.value) for one in resource.resource.attributes}
        for scope in resource.scope_logs:
            for record in scope.log_records:
                fields = {one.key: _proto_value(one.value) for one in record.attributes}
                time = str(record.time_unix_nano or record.observed_time_unix_nano or "")
                trace = {"trace_id": record.trace_id.hex(), "span_id": record.span_id.hex()}
                level = record.severity_text or _severity(record.severity_number)
                _otlp_line(found, told, fields, time, level, trace, _proto_value(record.body))
    return list(found.items())


def _otlp_line(
    found: dict[str, list[str]],
    resource: Mapping[str, Any],
    fields: Mapping[str, Any],
    time: str,
    level: str,
    trace: Mapping[str, str],
    body: Any,
) -> None:
    service = str(resource.get("service.name") or "unknown")
    host = resource.get("host.name") or resource.get("k8s.pod.name")
    told = {**fields, "timestamp": time, "level": level, "service": service, "host": host, **trace}
    told = {name: value for name, value in told.items() if value not in ("", None)}
    if isinstance(body, dict):
        message = body.get("message") or body.get("msg") or orjson.dumps(body).decode()
        told = {**{k: v for k, v in body.items() if k not in ("message", "msg")}, **told}
    else:
        message = body if isinstance(body, str) else orjson.dumps(body).decode()
    found.setdefault(f"otlp/{service}", []).append(as_line(told, str(message)))


def _severity(number: int) -> str:
    return _SEVERITIES[min((number - 1) // 4, len(_SEVERITIES) - 1)] if number > 0 else ""


def _json_attributes(attributes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {str(one["key"]): _json_value(one.get("value", {})) for one in attributes}


def _json_value(value: Mapping[str, Any]) -> Any:
    """Return an AnyValue: ``{"stringValue": "x"}`` is x."""
    for kind, held in value.items():
        if kind == "kvlistValue":
            return _json_attributes(held.get("values", []))
        if kind == "arrayValue":
            return [_json_value(one) for one in held.get("values", [])]
        return int(held) if kind == "intValue" else held
    return ""


def _proto_value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    held = getattr(value, kind)
    if kind == "kvlist_value":
        return {one.key: _proto_value(one.value) for one in held.values}
    if kind == "array_value":
        return [_proto_value(one) for one in held.values]
    return held.hex() if kind == "bytes_value" else held


# -- Splunk --------------------------------------------------------------------------------------------------


def hec_events(body: bytes) -> Entries:
    """Return the events of Splunk's HTTP event collector: JSON objects one behind the other."""
    text, decoder = body.decode("utf-8", "replace").strip(), json.JSONDecoder()
    found: dict[str, list[str]] = {}
    at = 0
    while at < len(text):
        try:
            one, at = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            raise MalformedError("The body is no JSON object.", 'Write {"event": "…"} for each event.') from error
        if not isinstance(one, dict) or "event" not in one:
            raise MalformedError("An object has no 'event'.", 'Write {"event": "…"} for each event.')
        while at < len(text) and text[at].isspace():
            at += 1
        event, fields = one["event"], one.get("fields")
        told: dict[str, Any] = {**fields} if isinstance(fields, dict) else {}
        told |= {name: one[name] for name in ("time", "host") if one.get(name) is not None}
        if isinstance(event, dict):
            told |= event
            message = str(event.get("message") or event.get("msg") or orjson.dumps(event).decode())
        else:
            message = str(event)
        name = one.get("sourcetype") or one.get("source") or "event"
        found.setdefault(f"hec/{name}", []).append(as_line(told, message))
    return list(found.items())


# -- what they share -----------------------------------------------------------------------------------------


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedError(f"The body is no JSON: {error}.", "Check what is pushed.") from error
    if not isinstance(value, dict):
        raise MalformedError("The body is no JSON object.", "Check what is pushed.")
    return value


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the highest bit says that more follows
            return value, at
        if shift > 63:  # noqa: PLR2004
            raise ValueError("varint too long")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a message, number and varint or bytes: protobuf.dev/programming-guides/encoding."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if kind == 2:  # noqa: PLR2004 - its length stands first
            size, at = _varint(data, at)
        if size is None or at + size > len(data):
            raise ValueError("no protobuf")
        yield number, data[at : at + size]
        at += size


def _messages(data: bytes, number: int) -> Iterator[bytes]:
    return (value for n, value in _fields(data) if n == number and isinstance(value, bytes))
