"""Syslog over a stream: messages are cut alike however their bytes arrive, and none grows without bound."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlog.sources.blocks import CUT, MAX_LINE_BYTES
from oddlog.sources.framing import TORN, Framing
from oddlog.types import Tally


def cut(data: bytes, *at: int, tally: Tally | None = None) -> list[bytes]:
    """The messages of `data`, pushed in pieces that end at `at`."""
    framing = Framing(tally or Tally(), "syslog/x")
    places = [0, *sorted(at), len(data)]
    found = [one for a, b in pairwise(places) for one in framing.push(data[a:b])]
    return found + framing.end()


def slowly(data: bytes) -> list[bytes]:
    """What RFC 6587 says, message by message, of a whole stream."""
    found = []
    while data:
        counted = re.match(rb"([1-9][0-9]{0,8}) <", data)
        if counted:
            begin = counted.end() - 1
            size = int(counted[1])
            if begin + size > len(data):
                break
            one, data = data[begin : begin + size], data[begin + size :]
        else:
            one, _, data = re.match(rb"([^\n\0]*)([\n\0]|\Z)(.*)", data, re.DOTALL).groups()
        found.append(one.rstrip(b"\r\n\0"))
    return [one for one in found if one]


message = st.binary(max_size=30).map(lambda b: b"<34>" + b.replace(b"\0", b"").replace(b"\n", b""))
counted = message.map(lambda m: b"%d %s" % (len(m), m))
ended = st.tuples(message, st.sampled_from([b"\n", b"\r\n", b"\0"])).map(b"".join)
plain = st.sampled_from([b"2024-01-01 no priority\n", b"12 drummers\n", b"7\n", b"\n", b"x\n"])


@given(st.lists(st.one_of(counted, ended, plain), max_size=8), st.lists(st.integers(0, 200), max_size=8))
def test_any_pieces_give_the_messages_that_the_slow_reading_gives(parts: list[bytes], at: list[int]):
    data = b"".join(parts)
    assert cut(data, *(min(one, len(data)) for one in at)) == slowly(data)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_any_bytes_in_any_pieces_give_the_same_messages(data: bytes, at: list[int]):
    assert cut(data, *(min(one, len(data)) for one in at)) == cut(data)


def test_both_framings_may_follow_each_other_and_a_message_may_hold_line_ends():
    assert cut(b"7 <34>a\nb<34>c\r\n5 <34>d<34>e") == [b"<34>a\nb", b"<34>c", b"<34>d", b"<34>e"]


def test_half_a_counted_message_is_none_and_counted():
    tally = Tally()
    assert cut(b"5 <34>a50 <34>b", tally=tally) == [b"<34>a"]
    assert tally.counts[TORN] == 1


@pytest.mark.parametrize("form", ["counted", "ended"])
def test_a_message_of_a_megabyte_is_cut_and_the_next_one_is_whole(form: str):
    tally, long = Tally(), b"<34>" + b"x" * (1 << 20)
    data = b"%d %s" % (len(long), long) if form == "counted" else long + b"\n"
    framing = Framing(tally, "syslog/x")
    found = []
    for i in range(0, len(data), 50_000):
        found += framing.push(data[i : i + 50_000])
        assert len(framing._rest) <= MAX_LINE_BYTES + 16
    found += framing.push(b"<34>next\n")
    assert [len(one) for one in found] == [MAX_LINE_BYTES, 8]
    assert tally.counts[CUT] == 1
