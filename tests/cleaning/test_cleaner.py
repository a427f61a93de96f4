"""Records come out clean, the same in any batching, and everything done to them is counted."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive.cleaning import clean
from oddlog.cleaning import Cleaner, cleaning_table
from oddlog.types import RECORDS, Tally

START = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
SCHEMA = pl.Schema({**RECORDS, "ok": pl.Boolean(), "f.user": pl.String(), "n.ms": pl.Float32()})


def frame(rows: list[dict]) -> pl.DataFrame:
    """Build the frame that a format gives, from what matters in a test."""
    full = []
    for i, row in enumerate(rows, 1):
        text = row.get("text", "")
        defaults = {"source": "app.log", "position": i * 10, "line": i, "count": 1, "time": None, "ok": True}
        full.append({**dict.fromkeys(SCHEMA), **defaults, "message": text if row.get("ok", True) else None, **row})
    return pl.DataFrame(full, schema=SCHEMA, orient="row")


def run(rows: list[dict], cuts: tuple[int, ...] = (), **options) -> tuple[pl.DataFrame, Cleaner]:
    cleaner = Cleaner(Tally(), **options)
    whole = frame(rows)
    borders = [0, *sorted(cuts), len(whole)]
    parts = [cleaner.push(whole[a:b]) for a, b in pairwise(borders)]
    return pl.concat([*parts, cleaner.flush()], how="diagonal"), cleaner


WORDS = st.sampled_from(
    [
        "disk full",
        "  indented",
        "\tat shop.Pay.charge(Pay.java:41)",
        "Caused by: java.io.IOException: refused",
        "ok",
        "Traceback (most recent call last):",
        '  File "a.py", line 3, in f',
        "    return g()",
        "ValueError: bad",
        "",
        "java.lang.IllegalStateException: late",
        "... 12 more",
        "two  spaces",
        " padded ",
        "tab\there",
        "\x07bell",
        "message repeated 3 times: [ disk full ]",
        "message repeated 20000 times: [ ok]",
        "last message repeated 2 times",
        "last message repeated 99999999999999999999 times",
        "-----END PRIVATE KEY-----",
        "QUJDREVGR0hJSktMTU5PUA==",
        'Exception in thread "main" shop.PayError',
        "é" * 40,
        "z" * 30000,
    ]
)
TIMES = (
    st.none()
    | st.integers(0, 9).map(lambda s: START + timedelta(seconds=s))
    | st.just(datetime(1970, 1, 1, tzinfo=UTC))
)
ROW = st.fixed_dictionaries(
    {
        "text": WORDS,
        "ok": st.sampled_from([True, True, False]),
        "time": TIMES,
        "service": st.sampled_from([None, "pay", "web"]),
        "level": st.sampled_from([None, "UNKNOWN", "INFO", "ERROR"]),
    }
)


def as_format_gives(rows: list[dict]) -> list[dict]:
    """Lines without the header have nothing but their text."""
    blank = {"time": None, "service": None, "level": None}
    return [row if row["ok"] else {**row, **blank} for row in rows]


def check_against_twin(rows: list[dict], cuts: list[int], *, drop_duplicates: bool) -> None:
    got, cleaner = run(rows, tuple(min(c, len(rows)) for c in cuts), drop_duplicates=drop_duplicates)
    expected, quarantined = clean(frame(rows).to_dicts(), drop_duplicates=drop_duplicates)
    assert got.to_dicts() == expected
    assert [(q.source, q.line) for q in cleaner.quarantine] == quarantined


@given(
    rows=st.lists(ROW, min_size=1, max_size=14).map(as_format_gives),
    cuts=st.lists(st.integers(0, 14), max_size=6),
    drop_duplicates=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_batching_gives_what_the_slow_twin_gives(rows, cuts, drop_duplicates):
    check_against_twin(rows, cuts, drop_duplicates=drop_duplicates)


@given(n=st.integers(250, 260), m=st.integers(0, 3), cuts=st.lists(st.integers(0, 520), max_size=5), long=st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_limits_of_a_record_fall_on_the_same_line_in_any_batching(n, m, cuts, long):
    trace = [{"text": "\tat shop.Pay.charge(Pay.java:41)" + "x" * 300 * long, "ok": False, "time": None}] * n
    rows = [{"text": "failed", "time": START}, *trace] * (m + 1)
    check_against_twin(rows, cuts, drop_duplicates=False)


@given(
    rows=st.lists(ROW, min_size=1, max_size=10).map(as_format_gives),
    sources=st.lists(st.sampled_from(["a.log", "b.log"]), min_size=10, max_size=10),
    cuts=st.lists(st.integers(0, 10), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_sources_that_arrive_mixed_are_cleaned_each_for_itself(rows, sources, cuts):
    mixed = [{**row, "source": source} for row, source in zip(rows, sources, strict=False)]
    got, _ = run(mixed, tuple(min(c, len(mixed)) for c in cuts))
    for source in {row["source"] for row in mixed}:
        alone = [row for row in frame(mixed).to_dicts() if row["source"] == source]
        assert got.filter(pl.col("source") == source).to_dicts() == clean(alone)[0]


def test_clean_records_come_out_unchanged_and_nothing_is_counted():
    rows = [
        {"text": f"12:00:0{i} INFO pay - order {i} paid", "time": START, "message": f"order {i} paid"} for i in range(5)
    ]
    got, cleaner = run(rows, (2, 4))
    assert got.equals(frame(rows).drop("ok"))
    assert not cleaner.tally.counts
    assert got.schema == pl.Schema({name: kind for name, kind in SCHEMA.items() if name != "ok"})


def test_the_last_record_is_held_back_until_it_can_be_complete():
    cleaner = Cleaner(Tally())
    rows = frame([{"text": "one", "time": START}, {"text": "two", "time": START}, {"text": "  at x", "ok": False}])
    assert cleaner.push(rows[:2])["message"].to_list() == ["one"]
    assert len(cleaner.push(rows[2:])) == 0
    assert cleaner.flush()["text"].to_list() == ["two\n  at x"]
    assert len(cleaner.flush()) == 0


def test_found_fields_that_differ_between_batches_come_out_with_nulls():
    cleaner = Cleaner(Tally())
    cleaner.push(frame([{"text": "one", "time": START}]).drop("f.user"))
    later = frame([{"text": "two", "time": START, "position": 30, "f.user": "ana"}])
    assert cleaner.push(later)["f.user"].to_list() == [None]
    assert cleaner.flush()["f.user"].to_list() == ["ana"]


def test_nothing_in_gives_nothing_out():
    cleaner = Cleaner(Tally())
    assert cleaner.push(frame([])).schema == frame([]).drop("ok").schema
    assert cleaner.flush().schema == RECORDS


def test_lines_before_the_first_header_are_quarantined_without_their_secrets():
    rows = [{"text": "rest of a line, password=hunter2", "ok": False}, {"text": "begin", "time": START}]
    got, cleaner = run(rows)
    assert got["message"].to_list() == ["begin"]
    (kept,) = cleaner.quarantine
    assert kept == (
        "app.log",
        1,
        "rest of a line, password=<redacted>",
        "line without a header quarantined: no record before it",
    )
    assert cleaner.tally.counts == {kept.reason: 1}


def test_the_quarantine_keeps_a_thousand_lines_and_counts_all():
    _, cleaner = run([{"text": f"no header {i}", "ok": False} for i in range(1200)], (500, 900))
    assert len(cleaner.quarantine) == 1000
    assert cleaner.quarantine[-1].line == 1000
    assert cleaner.tally.counts["line without a header quarantined: no record before it"] == 1200


def test_a_missing_time_is_that_of_the_record_before_and_an_impossible_one_is_missing():
    times = [None, START, None, datetime(1970, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC), START]
    got, cleaner = run([{"text": f"event {i}", "time": time} for i, time in enumerate(times)], (3,))
    assert got["time"].to_list() == [None, START, START, START, START, START]
    assert cleaner.tally.counts == {
        "time outside 1990-2100 dropped": 2,
        "missing time taken from the record before": 3,
    }
    assert cleaner.tally.examples["time outside 1990-2100 dropped"] == "app.log:4"


def test_white_space_is_normalised_in_the_message_only():
    got, cleaner = run([{"text": "took   5 ms\t(cached) "}, {"text": "took 15 ms"}])
    assert got["message"].to_list() == ["took 5 ms (cached)", "took 15 ms"]
    assert got["text"][0] == "took   5 ms\t(cached) "
    assert cleaner.tally.counts == {"white space or control characters in a message normalised": 1}


def test_identical_lines_stay_unless_duplicates_are_to_be_dropped():
    rows = [{"text": text, "time": START} for text in ("up", "up", "down", "up", "down", "left")]
    assert run(rows)[0]["message"].to_list() == ["up", "up", "down", "up", "down", "left"]
    got, cleaner = run(rows, (1, 3), drop_duplicates=True)
    assert got["line"].to_list() == [1, 3, 6]
    assert cleaner.tally.counts == {"duplicate line dropped": 3}


def test_what_no_longer_fits_among_the_remembered_texts_is_kept_and_counted(monkeypatch):
    monkeypatch.setattr("oddlog.cleaning.cleaner.MAX_REMEMBERED", 2)
    rows = [{"text": text, "time": START} for text in ("a", "b", "c", "c", "a", "c", "b")]
    for cuts in ((), (1,), (1, 2, 3, 4, 5, 6)):
        got, cleaner = run(rows, cuts, drop_duplicates=True)
        assert got["message"].to_list() == ["a", "b", "c", "c", "c"]
        assert cleaner.tally.counts == {
            "duplicate line dropped": 2,
            "text not remembered for duplicates: 4 M texts already are": 3,
        }


def test_a_line_delivered_again_disappears():
    rows = frame([{"text": text, "time": START} for text in ("one", "two", "three", "four")])
    cleaner = Cleaner(Tally())
    parts = [cleaner.push(rows[:3]), cleaner.push(rows[1:]), cleaner.flush(), cleaner.push(rows), cleaner.flush()]
    got = pl.concat(parts, how="diagonal")
    assert got["message"].to_list() == ["one", "two", "three", "four"]
    assert cleaner.tally.counts == {"line delivered again dropped": 6}


def test_a_rotated_source_can_be_forgotten():
    rows = frame([{"text": "one", "time": START}])
    cleaner = Cleaner(Tally(), drop_duplicates=True)
    for _ in range(2):
        cleaner.push(rows)
        assert cleaner.flush()["message"].to_list() == ["one"]
        cleaner.forget("app.log")
    cleaner.forget("never seen")


@pytest.mark.parametrize("redact", [True, False])
def test_redaction_is_the_same_in_any_batching_and_can_be_switched_off(redact):
    rows = [{"text": f"login {i} token=a1b2c3d4", "time": START, "f.user": "u", "n.ms": 1.0} for i in range(6)]
    whole, cleaner = run(rows, redact=redact)
    assert run(rows, (1, 2, 5), redact=redact)[0].equals(whole)
    assert whole["text"][3] == ("login 3 token=<redacted>" if redact else "login 3 token=a1b2c3d4")
    assert cleaner.tally.counts == ({"secret redacted: token or key": 6} if redact else {})


def test_the_table_shows_what_was_done_most_frequent_first():
    tally = Tally()
    tally.add("empty line dropped", 2, example="app.log:7")
    tally.add("line cut at 64 KiB", 5)
    assert cleaning_table(tally).rows() == [("line cut at 64 KiB", 5, ""), ("empty line dropped", 2, "app.log:7")]
    assert cleaning_table(Tally()).columns == ["step", "count", "example"]
