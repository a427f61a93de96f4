from __future__ import annotations

import json

import numpy as np

from oddlog.datasets.simulator.draws import Draws
from oddlog.datasets.simulator.messages import Message
from oddlog.datasets.simulator.shop.messages import MESSAGES, SERVICES
from oddlog.datasets.simulator.shop.rendering import Traces, layout, write_traces, write_untraced
from oddlog.datasets.simulator.shop.scenarios import Scenario
from oddlog.datasets.simulator.steps import Step
from oddlog.datasets.simulator.writing import blank_pages

BUY = Scenario(
    "buy", 1, "POST", "/buy/{product}",
    (
        Step("gateway.request", 0),
        Step("auth.anonymous", 1, 50, otherwise="auth.valid"),
        Step("catalog.thumbnail", 2, most=3),
        Step("gateway.done", 5, given={"status": 200}),
    ),
)  # fmt: skip


def written(pages, service):
    return [line for text in pages[service].text for line in text]


def buy(n):
    pages = blank_pages(SERVICES)
    draws = Draws(4)
    start = np.arange(n) * 10_000_000 + 1_772_431_200_000_000
    traces = Traces(draws, start, np.arange(n), np.zeros(n, np.int64))
    write_traces(pages, draws, BUY, traces, mark=2)
    return pages, traces


def test_a_layout_writes_given_values_out_and_leaves_places_for_the_others():
    message = Message("db", "INFO", "100 % of {small} rows to {where}", ("status",))
    pattern, names = layout(message, (("where", "disk"), ("status", 7)), traced=True)
    assert names == ("ts", "host", "trace_id", "small")
    assert pattern % ("T", "db-1", "abc", 3) == (
        '{"ts":"T","level":"INFO","service":"db","host":"db-1","trace_id":"abc",'
        '"msg":"100 % of 3 rows to disk","status":7}'
    )


def test_quotes_in_a_text_are_escaped():
    pattern, _ = layout(Message("db", "INFO", 'said "no"\\'), (), traced=False)
    assert json.loads(pattern % ("T", "db-1"))["msg"] == 'said "no"\\'


def test_the_values_of_a_trace_are_the_same_in_all_its_lines():
    pages, traces = buy(30)
    first = [json.loads(line) for line in written(pages, "gateway")[:30]]
    last = [json.loads(line) for line in written(pages, "gateway")[30:]]
    for before, after in zip(first, last, strict=True):
        for name in ("trace_id", "host", "client", "path"):
            assert before[name] == after[name]
        assert before["path"].startswith("/buy/sku-1")
    assert [record["trace_id"] for record in first] == traces.ids


def test_the_duration_is_the_time_since_the_trace_began():
    pages, traces = buy(30)
    for line, start in zip(written(pages, "gateway")[30:], traces.start.tolist(), strict=True):
        record = json.loads(line)
        end = np.datetime64(record["ts"][:-1]).astype(np.int64)
        assert record["duration_ms"] == max((end - start) // 1000, 1)


def test_a_step_that_does_not_happen_is_replaced_and_one_that_repeats_does_so_up_to_its_most():
    pages, _ = buy(200)
    said = [json.loads(line)["msg"].split()[0] for line in written(pages, "auth")]
    assert len(said) == 200
    assert 60 < said.count("no") < 140
    per_trace = np.unique([json.loads(t)["trace_id"] for t in written(pages, "catalog")], return_counts=True)[1]
    assert len(per_trace) == 200
    assert set(per_trace.tolist()) == {1, 2, 3}


def test_every_line_carries_the_mark():
    pages, _ = buy(5)
    assert set(np.concatenate(pages["gateway"].mark).tolist()) == {2}


def test_lines_without_a_request_have_no_trace():
    pages = blank_pages(SERVICES)
    write_untraced(pages, Draws(0), MESSAGES["auth.purge"], np.array([1_772_431_200_000_000]), host="auth-2")
    [line] = written(pages, "auth")
    record = json.loads(line)
    assert (record["ts"], record["host"]) == ("2026-03-02T06:00:00.000000Z", "auth-2")
    assert "trace_id" not in record
    assert record["msg"].startswith("purged ")
