"""What syslog writes for repeats becomes a count."""

import polars as pl

from oddlog.cleaning.repeats import count_repeats
from oddlog.types import LEVEL, Tally


def records(*messages: str) -> pl.DataFrame:
    n = len(messages)
    return pl.DataFrame(
        {
            "source": ["syslog"] * n,
            "line": range(1, n + 1),
            "count": pl.Series([1] * n, dtype=pl.UInt32),
            "message": messages,
            "service": pl.Series(["sshd", *[None] * (n - 1)], dtype=pl.String),
            "level": pl.Series(["WARNING", *["UNKNOWN"] * (n - 1)], dtype=LEVEL),
        }
    )


def test_the_inner_message_is_counted():
    tally = Tally()
    got, _ = count_repeats(records("message repeated 3 times: [ Failed password for root]"), None, tally)
    assert got.select("message", "count").row(0) == ("Failed password for root", 3)
    assert tally.counts == {"repeated message counted: message repeated N times: [ ... ]": 1}


def test_an_inner_message_may_hold_brackets():
    got, _ = count_repeats(records("message repeated 1 time: [ a [b] c ]"), None, Tally())
    assert got["message"][0] == "a [b] c"


def test_last_message_repeated_takes_message_service_and_level_of_the_record_before():
    tally = Tally()
    got, said = count_repeats(
        records("disk full", "last message repeated 4 times", "last message repeated 2 times"), None, tally
    )
    assert got.select("message", "service", "level", "count").rows() == [
        ("disk full", "sshd", "WARNING", 1),
        ("disk full", "sshd", "WARNING", 4),
        ("disk full", "sshd", "WARNING", 2),
    ]
    assert tally.examples == {"repeated message counted: last message repeated N times": "syslog:2"}
    later, _ = count_repeats(records("last message repeated 7 times"), said, Tally())
    assert later.select("message", "service", "count").row(0) == ("disk full", "sshd", 7)


def test_without_a_record_before_the_line_stays_as_it_is():
    tally = Tally()
    got, _ = count_repeats(records("last message repeated 4 times"), None, tally)
    assert got.select("message", "count").row(0) == ("last message repeated 4 times", 1)
    assert not tally.counts


def test_a_count_is_capped_and_never_zero():
    tally = Tally()
    huge = "message repeated 99999999999999999999999 times: [ x ]"
    got, _ = count_repeats(
        records("message repeated 10001 times: [ x ]", "message repeated 0 times: [ x ]", huge), None, tally
    )
    assert got["count"].to_list() == [10_000, 1, 10_000]
    assert tally.counts["count of a repeated message capped at 10,000"] == 2


def test_a_sentence_about_messages_is_left_alone():
    got, _ = count_repeats(records("last message was lost", "message repeated often"), None, Tally())
    assert got["message"].to_list() == ["last message was lost", "message repeated often"]
    assert got["count"].to_list() == [1, 1]
