"""A stack trace belongs to the line above it, whose message names the exception."""

from datetime import UTC, datetime

import polars as pl
import pytest

from oddlog.cleaning import Cleaner
from oddlog.types import RECORDS, Tally

TIME = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)

JAVA = """ERROR pay - charge failed
java.lang.IllegalStateException: charge 17 failed
\tat shop.Pay.charge(Pay.java:41)
\tat shop.Api.post(Api.java:9)
Caused by: shop.NetError: gateway
\tat shop.Net.send(Net.java:12)
Caused by: java.net.ConnectException: refused
\t... 12 more"""
JAVA_PLAIN = """ERROR pay - charge failed
Exception in thread "pool-3" java.lang.OutOfMemoryError: heap
\tat shop.Pay.charge(Pay.java:41)"""
PYTHON = """ERROR worker failed
Traceback (most recent call last):
  File "/srv/app.py", line 3, in run
    return load(path)
KeyError: 'path'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/app.py", line 9, in main
    raise shop.Stopped from error
shop.Stopped: worker 3
"""
NODE = """ERROR unhandled rejection
TypeError: cannot read properties of undefined
    at charge (/srv/pay.js:41:7)"""
OTHER = """INFO dump follows
  one: 1
  two: 2"""


def clean(text: str, *, headers: bool) -> tuple[pl.DataFrame, Tally]:
    """Clean lines; with headers only those that begin with a level have one, else all are bare text."""
    lines = text.splitlines()
    ok = [line.startswith(("ERROR", "INFO")) or not headers for line in lines]
    rows = {
        "source": "app.log",
        "position": [10 * i for i in range(1, len(lines) + 1)],
        "line": range(1, len(lines) + 1),
        "text": lines,
        "count": 1,
        "time": [TIME if good and headers else None for good in ok],
        "level": None,
        "service": None,
        "host": None,
        "message": [line if good else None for line, good in zip(lines, ok, strict=True)],
    }
    tally = Tally()
    cleaner = Cleaner(tally)
    frame = pl.DataFrame(rows, schema=RECORDS).with_columns(pl.Series("ok", ok))
    return pl.concat([cleaner.push(frame), cleaner.flush()]), tally


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        (JAVA, "ERROR pay - charge failed ⏎ java.net.ConnectException: refused"),
        (JAVA_PLAIN, "ERROR pay - charge failed ⏎ java.lang.OutOfMemoryError: heap"),
        (PYTHON, "ERROR worker failed ⏎ shop.Stopped: worker 3"),
        (NODE, "ERROR unhandled rejection ⏎ TypeError: cannot read properties of undefined"),
        (OTHER, "INFO dump follows"),
    ],
)
def test_lines_without_a_header_join_the_record_above(trace, message):
    got, tally = clean(f"INFO before\n{trace.rstrip()}\nINFO after", headers=True)
    n = len(trace.rstrip().splitlines())
    assert got["message"].to_list() == ["INFO before", message, "INFO after"]
    assert got["text"].to_list() == ["INFO before", trace.rstrip(), "INFO after"]
    assert got["line"].to_list() == [1, 2, n + 2]
    assert got["position"].to_list() == [10, 10 * (n + 1), 10 * (n + 2)]
    assert tally.counts == {"continuation line joined to its record": n - 1}
    assert tally.examples == {"continuation line joined to its record": "app.log:3"}


def test_in_text_without_headers_what_looks_like_a_trace_joins():
    trace = PYTHON.split("\n\n", maxsplit=1)[0]
    got, _ = clean(
        f"{trace}\nnext job\n  indented item\n{JAVA_PLAIN.splitlines()[0]}\n\tat shop.Pay.charge(Pay.java:41)",
        headers=False,
    )
    assert got["text"].to_list() == [
        trace,
        "next job",
        "  indented item",
        "ERROR pay - charge failed\n\tat shop.Pay.charge(Pay.java:41)",
    ]
    assert got["message"][0] == "ERROR worker failed ⏎ KeyError: 'path'"


def test_a_trace_at_the_very_beginning_of_bare_text_is_a_record():
    got, _ = clean('Traceback (most recent call last):\n  File "a.py", line 3\nValueError: bad', headers=False)
    assert got["line"].to_list() == [1]
    assert got["message"].to_list() == ["Traceback (most recent call last): ⏎ ValueError: bad"]


def test_the_body_of_a_private_key_never_becomes_a_record():
    body = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="
    got, tally = clean(
        f"key is\n-----BEGIN PRIVATE KEY-----\n{body}\n{body}\n-----END PRIVATE KEY-----\ndone", headers=False
    )
    assert got["text"].to_list() == ["key is\n<redacted>", "done"]
    assert tally.counts["secret redacted: private key"] == 1


def test_a_trace_is_kept_up_to_256_lines_and_the_rest_is_counted():
    deep = "\n".join(f"\tat shop.Deep.call(Deep.java:{i})" for i in range(1, 301))
    got, tally = clean(f"ERROR overflow\njava.lang.StackOverflowError\n{deep}\nINFO after", headers=True)
    assert len(got["text"][0].splitlines()) == 257
    assert got["message"][0] == "ERROR overflow ⏎ java.lang.StackOverflowError"
    assert got["position"][0] == 3020
    assert tally.counts == {
        "continuation line joined to its record": 301,
        "continuation line dropped: the record has 256 lines or 64 KiB": 45,
    }


def test_the_position_stands_behind_dropped_lines_also_where_the_next_batch_begins_with_a_record():
    deep = [f"\tat shop.Deep.call(Deep.java:{i})" for i in range(300)]
    lines = ["ERROR overflow", *deep, "INFO after"]
    rows = {"source": "app.log", "position": [10 * i for i in range(1, 303)], "line": range(1, 303), "text": lines}
    known = {"count": 1, "time": [TIME, *[None] * 300, TIME], "level": None, "service": None, "host": None}
    frame = pl.DataFrame({**rows, **known, "message": ["overflow", *[None] * 300, "after"]}, schema=RECORDS)
    frame = frame.with_columns(ok=pl.col("message").is_not_null())
    cleaner = Cleaner(Tally())
    got = pl.concat([cleaner.push(frame[:301]), cleaner.push(frame[301:]), cleaner.flush()])
    assert got["position"].to_list() == [3010, 3020]
