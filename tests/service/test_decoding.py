"""What others push becomes lines with time, level, service and message; what is malformed is refused whole."""

from __future__ import annotations

import contextlib
import gzip
import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddlog.formats import detect_format, parse_lines
from oddlog.service import decoding
from oddlog.service.decoding import MalformedError, TooLargeError
from oddlog.types import LINES

cramjam = pytest.importorskip("cramjam")
NS = 1_772_438_400_123_456_789
AT = datetime.fromtimestamp(NS // 1_000 / 1e6, UTC)


def parsed(texts: list[str]) -> pl.DataFrame:
    """Return the records that pushed lines become."""
    n = len(texts)
    columns = {"source": ["x"] * n, "position": range(n), "line": range(1, n + 1), "text": texts, "count": [1] * n}
    found = detect_format(pl.Series(texts), year=2026, alternatives=False)
    return parse_lines(pl.DataFrame(columns, schema=LINES, strict=False), found, year=2026)


def record(texts: list[str]) -> dict[str, Any]:
    return parsed(texts).row(0, named=True)


LOKI = {
    "streams": [
        {
            "stream": {"app": "shop", "host": "h1", "level": "warn"},
            "values": [[str(NS), "payment retried after 17 ms", {"trace_id": "t1"}]],
        }
    ]
}


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def loki_body() -> bytes:
    stamp = varint(1 << 3) + varint(NS // 10**9) + varint(2 << 3) + varint(NS % 10**9)
    pair = field(1, b"trace_id") + field(2, b"t1")
    entry = field(1, stamp) + field(2, b"payment retried after 17 ms") + field(3, pair)
    stream = field(1, b'{app="shop", host="h1", level="warn"}') + field(2, entry) + varint(3 << 3) + varint(2**63)
    return bytes(cramjam.snappy.compress_raw(field(1, stream)))


@pytest.mark.parametrize(
    "entries", [decoding.loki_json(json.dumps(LOKI).encode()), decoding.loki_protobuf(loki_body())]
)
def test_loki_entries_keep_time_labels_and_metadata(entries: decoding.Entries):
    ((source, texts),) = entries
    found = record(texts)
    assert source == "loki/shop"
    assert (found["time"], found["level"], found["service"], found["host"]) == (AT, "WARNING", "shop", "h1")
    assert (found["message"], found["f.trace_id"]) == ("payment retried after 17 ms", "t1")


def otlp_protobuf() -> bytes:
    logs = pytest.importorskip("opentelemetry.proto.collector.logs.v1.logs_service_pb2")
    request = logs.ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    one = resource.resource.attributes.add()
    one.key, one.value.string_value = "service.name", "shop"
    entry = resource.scope_logs.add().log_records.add()
    entry.time_unix_nano, entry.severity_number, entry.trace_id = NS, 17, bytes.fromhex("ab" * 16)
    entry.body.string_value = "charged 17 EUR"
    size = entry.attributes.add()
    size.key, size.value.int_value = "items", 3
    return request.SerializeToString()


OTLP = {
    "resourceLogs": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeLogs": [
                {
                    "logRecords": [
                        {
                            "timeUnixNano": str(NS),
                            "severityNumber": 17,
                            "traceId": "ab" * 16,
                            "body": {"stringValue": "charged 17 EUR"},
                            "attributes": [{"key": "items", "value": {"intValue": "3"}}],
                        }
                    ]
                }
            ],
        }
    ]
}


@pytest.mark.parametrize("kind", ["json", "protobuf"])
def test_otlp_records_keep_time_severity_resource_and_trace(kind: str):
    body = json.dumps(OTLP).encode() if kind == "json" else otlp_protobuf()
    ((source, texts),) = decoding.otlp_json(body) if kind == "json" else decoding.otlp_protobuf(body)
    found = record(texts)
    assert source == "otlp/shop"
    assert (found["time"], found["level"], found["service"]) == (AT, "ERROR", "shop")
    assert (found["message"], found["n.items"], found["f.trace_id"]) == ("charged 17 EUR", 3.0, "ab" * 16)


def test_a_line_that_has_a_header_of_its_own_keeps_it():
    line = "2026-03-02 08:00:01,500 ERROR shop.pay: Order ord-1 declined"
    values = [[str(NS + i), line] for i in range(20)]
    ((_, texts),) = decoding.loki_json(json.dumps({"streams": [{"stream": {"job": "pay"}, "values": values}]}).encode())
    found = record(texts)
    assert (found["level"], found["message"]) == ("ERROR", "Order ord-1 declined")
    assert found["time"] == datetime(2026, 3, 2, 8, 0, 1, 500_000, UTC)


def test_documents_of_bulk_are_lines_and_each_action_is_answered():
    body = b'{"create":{}}\n{"@timestamp":"2026-03-02T08:00:00Z","message":"a"}\n{"delete":{"_id":"1"}}\n'
    body += b'{"index":{"_index":"web","_id":"7"}}\n{"message":"b"}\n'
    entries, items = decoding.bulk(body, "logs-app")
    assert [(source, len(texts)) for source, texts in entries] == [("es/logs-app", 1), ("es/web", 1)]
    assert [next(iter(item.values()))["status"] for item in items] == [201, 400, 201]
    assert items[2]["index"]["_id"] == "7"


def test_events_of_splunk_stand_one_behind_the_other():
    body = b'{"time":1772438400.5,"host":"h1","sourcetype":"web","event":"started"} {"event":{"message":"b","n":1}}'
    entries = decoding.hec_events(body)
    assert [source for source, _ in entries] == ["hec/web", "hec/event"]
    found = record(entries[0][1])
    assert (found["host"], found["message"]) == ("h1", "started")
    assert found["time"] == datetime.fromtimestamp(1772438400.5, UTC)


@pytest.mark.parametrize(
    ("decode", "body"),
    [
        (decoding.loki_json, b"[]"),
        (decoding.loki_json, b'{"streams": [{}]}'),
        (decoding.loki_protobuf, b"\xff\xff\xff"),
        (decoding.otlp_json, b'{"resourceLogs": [1]}'),
        (decoding.otlp_protobuf, b"\x01\x02nonsense"),
        (decoding.hec_events, b'{"no": "event"}'),
        (decoding.hec_events, b"[" * 100_000),
        (lambda body: decoding.bulk(body, ""), b'{"create":{}}'),
        (lambda body: decoding.bulk(body, ""), b'{"drop":{}}\n{}'),
    ],
)
def test_what_is_malformed_is_refused_with_a_word_on_what_to_do(decode: Any, body: bytes):
    with pytest.raises(MalformedError) as refused:
        decode(body)
    assert refused.value.hint


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=200))
def test_no_bytes_break_a_decoder(body: bytes):
    for decode in (
        decoding.loki_json,
        decoding.loki_protobuf,
        decoding.otlp_json,
        decoding.otlp_protobuf,
        decoding.hec_events,
        lambda body: decoding.bulk(body, ""),
        lambda body: decoding.lines(body, ""),
        lambda body: decoding.inflated(body, "gzip"),
        lambda body: decoding.inflated(body, "deflate"),
    ):
        with contextlib.suppress(MalformedError, TooLargeError):
            decode(body)


def test_a_bomb_is_refused_before_it_is_whole():
    with pytest.raises(TooLargeError):
        decoding.inflated(gzip.compress(bytes(64 << 20)), "gzip")
    with pytest.raises(TooLargeError):
        decoding.loki_protobuf(varint(1 << 40) + b"\x00")
