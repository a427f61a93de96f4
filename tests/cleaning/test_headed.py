"""A trace each line of which has a header of its own belongs to the record above it."""

from __future__ import annotations

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive.headed import repeats_header as naive_repeats_header
from oddlog.cleaning import Cleaner
from oddlog.cleaning.headed import LastLine, repeats_header
from oddlog.formats import by_name
from oddlog.types import LINES, RECORDS, Tally

AT = "2024-11-20 10:11:12.345 17"
REQUEST = "[req-0a0a0a0a-0000-4000-8000-000000000001 aaaa1111 bbbb2222 - - -]"
MACHINE = "[instance: 11111111-2222-4333-8444-555555555555]"
OLD = f"""{AT} ERROR nova.compute.manager {REQUEST} {MACHINE} no machine
{AT} TRACE nova.compute.manager {MACHINE} Traceback (most recent call last):
{AT} TRACE nova.compute.manager {MACHINE}   File "/srv/nova/manager.py", line 17, in run
{AT} TRACE nova.compute.manager {MACHINE}     return self.start(machine)
{AT} TRACE nova.compute.manager {MACHINE} NoHost: every host is full
{AT} TRACE nova.compute.manager {MACHINE} and the last one is down
{AT} TRACE nova.compute.manager {MACHINE} """
NEW = f"""{AT} ERROR nova.api {REQUEST} request failed
{AT} ERROR nova.api Traceback (most recent call last):
{AT} ERROR nova.api   File "/srv/nova/api.py", line 3, in get
{AT} ERROR nova.api     return shelf[key]
{AT} ERROR nova.api KeyError: 'key'
{AT} ERROR nova.api
{AT} ERROR nova.api During handling of the above exception, another exception occurred:
{AT} ERROR nova.api
{AT} ERROR nova.api Traceback (most recent call last):
{AT} ERROR nova.api   File "/srv/nova/api.py", line 9, in main
{AT} ERROR nova.api nova.Gone: shelf 3"""
SYSLOG = """Nov 20 10:11:12 web-1 shop[17]: order failed
Nov 20 10:11:12 web-1 shop[17]: Traceback (most recent call last):
Nov 20 10:11:12 web-1 shop[17]:   File "/srv/shop.py", line 3, in order
Nov 20 10:11:12 web-1 shop[17]:     return load(path)
Nov 20 10:11:12 web-1 shop[17]: KeyError: 'path'"""


def records(text: str, name: str) -> pl.DataFrame:
    lines = text.split("\n")
    n = len(lines)
    columns = {"source": "a.log", "position": range(1, n + 1), "line": range(1, n + 1), "text": lines, "count": 1}
    frame = pl.DataFrame(columns, schema=LINES)
    parsed = by_name(name).parse(frame["text"], year=2024)
    known = parsed.select("ok", *[pl.col(c).cast(RECORDS[c]) for c in RECORDS if c not in LINES])
    return frame.hstack(known).with_columns(pl.col("level").fill_null("UNKNOWN"))


def clean(text: str, name: str) -> tuple[pl.DataFrame, Tally]:
    tally = Tally()
    cleaner = Cleaner(tally)
    return pl.concat([cleaner.push(records(text, name)), cleaner.flush()]), tally


@pytest.mark.parametrize(
    ("trace", "name", "message", "level"),
    [
        (OLD, "openstack", "no machine ⏎ NoHost: every host is full", "ERROR"),
        (NEW, "openstack", "request failed ⏎ nova.Gone: shelf 3", "ERROR"),
        (SYSLOG, "syslog", "order failed ⏎ KeyError: 'path'", "UNKNOWN"),
    ],
)
def test_lines_that_repeat_the_header_join_the_record_above(trace, name, message, level):
    before, after = (f"{AT} INFO nova.api [-] {word}" for word in ("before", "after"))
    if name == "syslog":
        before, after = (f"Nov 20 10:11:12 web-1 shop[17]: {word}" for word in ("before", "after"))
    got, tally = clean(f"{before}\n{trace}\n{after}", name)
    assert got["message"].to_list() == ["before", message, "after"]
    assert got["text"].to_list() == [before, trace, after]
    assert got["level"][1] == level
    n = len(trace.split("\n"))
    assert tally.counts["continuation line joined to its record"] == n - 1
    assert got["position"].to_list() == [1, n + 1, n + 2]


def test_two_traces_one_after_the_other_stay_two_records():
    other = OLD.replace(AT, "2024-11-20 10:11:12.345 18").replace("no machine", "no disk")
    got, _ = clean(f"{OLD}\n{other}", "openstack")
    assert got["message"].to_list() == [
        "no machine ⏎ NoHost: every host is full",
        "no disk ⏎ NoHost: every host is full",
    ]


@pytest.mark.parametrize(
    "above",
    [
        f"2024-11-20 10:11:12.344 17 ERROR nova.api {REQUEST} another moment",
        f"2024-11-20 10:11:12.345 18 ERROR nova.api {REQUEST} another process",
        f"{AT} ERROR nova.wsgi {REQUEST} another logger",
        f"{AT} INFO nova.api {REQUEST} nothing bad",
    ],
)
def test_a_trace_does_not_join_what_has_another_header(above):
    trace = NEW.split("\n", maxsplit=1)[1]
    got, _ = clean(f"{above}\n{trace}", "openstack")
    assert got["message"].to_list() == [
        above.split("] ")[1],
        "Traceback (most recent call last): ⏎ nova.Gone: shelf 3",
    ]


def test_usual_lines_with_the_header_of_a_trace_are_records():
    after = "\n".join(f"Nov 20 10:11:12 web-1 shop[17]: {said}" for said in ("next order", "  indented", "one more"))
    got, _ = clean(f"{SYSLOG}\n{after}", "syslog")
    assert got["message"].to_list() == ["order failed ⏎ KeyError: 'path'", "next order", "indented", "one more"]


def test_after_a_flush_a_trace_goes_on_as_a_record_of_its_own():
    lines = NEW.split("\n")
    cleaner = Cleaner(Tally())
    first, second = (records("\n".join(part), "openstack") for part in (lines[:3], lines[3:]))
    got = [cleaner.push(first), cleaner.flush(), cleaner.push(second.with_columns(pl.col("position") + 3))]
    got.append(cleaner.flush())
    messages = pl.concat(got)["message"].to_list()
    assert messages[:3] == ["request failed", "return shelf[key]", "KeyError: 'key'"]
    assert messages[-1] == "⏎ nova.Gone: shelf 3", "the empty line before the second traceback"
    assert cleaner.quarantine == []


words = st.sampled_from(
    [
        "Traceback (most recent call last):",
        '  File "/srv/a.py", line 3, in run',
        "    raise Gone",
        "Gone: x",
        "",
        "   ",
        "usual",
        "During handling of the above exception, another exception occurred:",
    ]
)
heads = st.sampled_from(
    [
        f"{AT} ERROR nova.api {REQUEST} ",
        f"{AT} ERROR nova.api ",
        f"{AT} TRACE nova.api ",
        f"{AT} TRACE nova.api {MACHINE} ",
        f"{AT} ERROR nova.api {REQUEST} {MACHINE} ",
        f"{AT} INFO nova.api {REQUEST} ",
        "no header ",
        "2024-11-20 10:11:13.345 17 ERROR nova.api ",
    ]
)
texts = st.lists(st.tuples(heads, words, st.integers(1, 4)), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None)
@given(runs=texts, cuts=st.sets(st.integers(1, 40), max_size=4))
def test_any_batching_finds_what_one_line_after_the_other_does(runs, cuts):
    lines = [head + word for head, word, n in runs for _ in range(n)]
    rows = records("\n".join(lines), "openstack")
    wanted = naive_repeats_header(rows.to_dicts())
    got: list[bool] = []
    last: LastLine | None = None
    bounds = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    for start, end in pairwise(bounds):
        found, last = repeats_header(rows[start:end], last)
        got += found.tolist()
    assert got == wanted
