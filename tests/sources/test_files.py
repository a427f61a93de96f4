"""Whatever the bytes, the lines come out right, or one clear error does."""

import bz2
import gzip
import io
import lzma
import os
import random
import re
import tarfile
import tracemalloc
from datetime import UTC, datetime

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from naive.lines import lines_of
from oddlog.errors import InputError
from oddlog.sources import file_changed, read_blocks
from oddlog.sources.streams import why_not_text
from oddlog.types import LINES, Tally

COMPRESS = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "bz2": lambda data: bz2.compress(data, 1),  # blocks of 100 kB
    "xz": lzma.compress,
    "zst": zstandard.compress,
}


def read(data: bytes, block_bytes: int = 8 << 20) -> tuple[list[tuple[int, int, str]], Tally]:
    tally = Tally()
    frames = list(read_blocks("-", tally, block_bytes=block_bytes, stdin=io.BytesIO(data)))
    assert all(frame.schema == LINES and len(frame) for frame in frames)
    return [row for frame in frames for row in frame.select("line", "position", "text").rows()], tally


def texts(data: bytes) -> list[str]:
    return [text for _, _, text in read(data)[0]]


FRAGMENTS = st.sampled_from(
    [
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"\n\n",
        b" ",
        b"\t",
        b"a",
        b"disk full",
        b"x^",
        b"x\x01",
        b"PAR1",
        b"\x00",
        b"\x00" * 9,
        "é".encode(),
        "€".encode(),
        "🙂".encode(),
        b"\xc3",
        b"\xe2\x82",
        b"\xf0\x9f\x99",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\x1b[31m",
        b"\x1b[0;1",
        b"\x1b",
        b"\x1b]0;title\x07",
        b"\x1b]8;;",
        b"\x1b\\",
        b"\x7f",
        b"\x85",
        b"\xc2\x85",
        "\u2028".encode(),
        b"\x0c",
        b"\x1c",
    ]
)
LONG = st.integers(65_530, 65_545).map(lambda n: b"y" * n) | st.integers(1, 4).map(
    lambda n: "é€🙂y".encode() * 8_192 * n
)
TEXT = st.lists(FRAGMENTS, max_size=40).map(b"".join)
LONG_TEXT = st.lists(FRAGMENTS | LONG, max_size=12).map(b"".join)
UTF16 = st.tuples(
    st.sampled_from(["utf-16-le", "utf-16-be"]),
    st.text(st.sampled_from("a\n\r \0é€🙂\u0a0a\u0a00\ud800\udc00"), max_size=60),
    st.binary(max_size=3),
).map(lambda t: {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}[t[0]] + t[1].encode(t[0], "surrogatepass") + t[2])
ANY = st.binary(max_size=200) | TEXT | UTF16
BLOCK = st.sampled_from([16, 17, 31, 64, 256, 8 << 20]) | st.integers(16, 300)


def check_against_twin(data: bytes, block_bytes: int) -> None:
    try:
        rows, _ = read(data, block_bytes)
    except InputError:
        assert (
            why_not_text(data[: 64 << 10])
            or data[:2] == b"\x1f\x8b"
            or data[:3] in {b"BZh", b"\xfd7z", b"\x28\xb5\x2f"}
        )
    else:
        assert rows == lines_of(data)


@given(data=ANY, block_bytes=BLOCK)
@settings(max_examples=400, deadline=None)
def test_any_bytes_in_blocks_of_any_size_agree_with_the_slow_twin(data, block_bytes):
    check_against_twin(data, block_bytes)


@given(data=LONG_TEXT, block_bytes=st.sampled_from([1 << 10, 64 << 10, 100_000, 8 << 20]))
@settings(max_examples=60, deadline=None)
def test_long_lines_in_blocks_of_any_size_agree_with_the_slow_twin(data, block_bytes):
    check_against_twin(data, block_bytes)


@given(
    text=st.lists(FRAGMENTS, max_size=12),
    n=st.integers(32_760, 65_540),
    block_bytes=st.sampled_from([1 << 12, 8 << 20]),
)
@settings(max_examples=15, deadline=None)
def test_long_lines_in_utf_16_agree_with_the_slow_twin(text, n, block_bytes):
    words = b"".join(text).decode("utf-8", "replace")
    check_against_twin(b"\xff\xfe" + (words + "🙂é"[n % 2] * n + words).encode("utf-16-le"), block_bytes)


@given(parts=st.lists(TEXT, min_size=1, max_size=3), kind=st.sampled_from(list(COMPRESS)), block_bytes=BLOCK)
@settings(max_examples=150, deadline=None)
def test_compressed_members_read_like_their_bytes(parts, kind, block_bytes):
    whole = b"".join(parts)
    packed = b"".join(COMPRESS[kind](part) for part in parts)
    try:
        rows, tally = read(packed, block_bytes)
    except InputError:
        assert why_not_text(whole)
    else:
        assert rows == lines_of(whole)
        assert "source not read to its end" not in tally.counts


@given(
    data=TEXT, kind=st.sampled_from(list(COMPRESS)), where=st.floats(0, 1), flip=st.integers(0, 255), cut=st.booleans()
)
@settings(max_examples=250, deadline=None)
def test_damaged_compressed_data_give_a_prefix_or_one_clear_error(data, kind, where, flip, cut):
    packed = bytearray(COMPRESS[kind](data))
    at = int(where * (len(packed) - 1))
    if cut:
        del packed[at:]
    else:
        packed[at] ^= flip
    try:
        read(bytes(packed), 64)
    except InputError as error:
        assert str(error)  # noqa: PT017 - either outcome is right; any other exception fails the test


@pytest.mark.parametrize("kind", list(COMPRESS))
def test_of_a_truncated_file_all_that_can_be_read_is_kept(kind, tmp_path):
    rng = random.Random(7)
    lines = [f"{i} request {rng.random():.17f} served by 192.0.2.{rng.randrange(256)}" for i in range(16_000)]
    packed = COMPRESS[kind]("\n".join(lines).encode())
    file = tmp_path / "app.log"
    file.write_bytes(packed[: len(packed) // 2])
    tally = Tally()
    got = pl.concat(read_blocks(str(file), tally))
    assert got["text"].to_list() == lines[: len(got)]  # the half line at the end is left out
    # bzip2 and xz give out whole blocks only
    assert len(got) > {"gz": 7_000, "zst": 4_000, "bz2": 3_000, "xz": 4_000}[kind]
    assert tally.counts["source not read to its end"] == 1
    told = re.fullmatch(
        rf"{re.escape(str(file))} at byte (\d+): the compressed data end in the middle",
        tally.examples["source not read to its end"],
    )
    assert told is not None
    assert 0 <= int(told[1]) - got["position"][-1] < len(lines[len(got)])


@pytest.mark.parametrize("kind", list(COMPRESS))
def test_compressed_data_of_which_nothing_can_be_read_are_an_error(kind):
    with pytest.raises(InputError, match=r"standard input cannot be read: the compressed data end in the middle\."):
        read(COMPRESS[kind](b"disk full\n" * 50)[:11])


def test_garbage_behind_the_compressed_data_is_told_and_harms_nothing():
    rows, tally = read(gzip.compress(b"a\nb\n") + b"\0\0\0" + b"garbage")
    assert [text for _, _, text in rows] == ["a", "b"]
    assert tally.examples["source not read to its end"].startswith("- at byte 4: the compressed data are damaged")


def test_zero_padding_behind_a_member_is_nothing():
    rows, tally = read(gzip.compress(b"a\n") + b"\0" * 300_000 + gzip.compress(b"b\n") + b"\0" * 512)
    assert [text for _, _, text in rows] == ["a", "b"]
    assert not tally.counts


def test_the_first_bytes_count_not_the_name(tmp_path):
    plain = tmp_path / "plain.log.gz"
    plain.write_bytes(b"not compressed\n")
    packed = tmp_path / "packed.log"
    packed.write_bytes(zstandard.compress(b"compressed\n"))
    assert [f["text"].to_list() for f in read_blocks(str(plain), Tally())] == [["not compressed"]]
    assert [f["text"].to_list() for f in read_blocks(str(packed), Tally())] == [["compressed"]]


def test_a_log_line_that_looks_like_a_magic_number_is_a_line():
    assert texts(b"PAR1 is back in service\n") == ["PAR1 is back in service"]
    assert texts(b"BZh9 is a station\n") == ["BZh9 is a station"]
    assert texts(b"x^2 + y^2\nnext\n") == ["x^2 + y^2", "next"]


def test_line_ends_of_every_kind_and_a_last_line_without_one():
    rows, tally = read(b"one\r\n\ntwo\n   \r\nthree\rhalf\r\n\r\r\nlast")
    assert rows == [(1, 5, "one"), (3, 10, "two"), (5, 27, "three\rhalf"), (7, 34, "last")]
    assert tally.counts == {"empty line dropped": 3}
    assert tally.examples == {"empty line dropped": "-:2"}


def test_a_carriage_return_at_the_very_end_is_no_text():
    assert read(b"a\nb\r")[0] == [(1, 2, "a"), (2, 4, "b")]


def test_what_is_repaired_is_counted_with_the_place_of_the_first():
    rows, tally = read(b"caf\xe9\nok\n\x1b[31mred\x1b[0m\nhole\0\0\n\x1b[2K\n")
    assert [text for _, _, text in rows] == ["caf�", "ok", "red", "hole"]
    assert tally.counts == {
        "invalid UTF-8 replaced": 1,
        "terminal colours removed": 2,
        "NUL bytes removed": 1,
        "empty line dropped": 1,
    }
    assert tally.examples["terminal colours removed"] == "-:3"
    assert tally.examples["NUL bytes removed"] == "-:4"


def test_a_byte_order_mark_is_no_text_but_counts_in_the_position():
    assert read(b"\xef\xbb\xbfstart\nnext\n")[0] == [(1, 9, "start"), (2, 14, "next")]
    assert read("﻿start\r\nnäxt".encode("utf-16-le"))[0] == [(1, 16, "start"), (2, 24, "näxt")]
    assert read("﻿start\nnext\n".encode("utf-16-be"))[0] == [(1, 14, "start"), (2, 24, "next")]


def test_a_line_is_cut_at_64_kib_at_the_border_of_a_character():
    rows, tally = read(b"a" * 65_535 + "é".encode() + b"rest\nnext\n")
    assert [(line, position, len(text)) for line, position, text in rows] == [(1, 65_542, 65_535), (2, 65_547, 4)]
    assert tally.counts == {"line cut at 64 KiB": 1}
    assert read(b"a" * 65_536 + b"\r\n")[1].counts == {}


class Endless(io.RawIOBase):
    """A line of `n` bytes without an end, then one more line."""

    def __init__(self, n: int) -> None:
        self.left = n

    def read(self, size: int = -1) -> bytes:
        if self.left == 0:
            self.left = -1
            return b"\nafter\n"
        if self.left < 0:
            return b""
        n = min(size, self.left)
        self.left -= n
        return b"z" * n


def test_a_line_of_200_mb_is_cut_in_bounded_memory():
    tracemalloc.start()
    frames = list(read_blocks("-", Tally(), stdin=Endless(200_000_000)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [len(text) for text in pl.concat(frames)["text"]] == [65_536, 5]
    assert pl.concat(frames)["position"].to_list() == [200_000_001, 200_000_007]
    assert peak < 40 << 20


@pytest.mark.parametrize("kind", list(COMPRESS))
def test_a_decompression_bomb_stays_bounded(kind):
    packed = COMPRESS[kind](b"z" * 60_000_000 + b"\nafter\n")
    tracemalloc.start()
    rows, _ = read(packed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [len(text) for _, _, text in rows] == [65_536, 5]
    assert peak < 70 << 20


def test_blocks_hold_whole_lines_and_the_numbers_go_on():
    data = b"".join(b"line %d\n" % i for i in range(1, 2001))
    frames = list(read_blocks("-", Tally(), block_bytes=1000, stdin=io.BytesIO(data)))
    assert len(frames) > 10
    whole = pl.concat(frames)
    assert whole["line"].to_list() == list(range(1, 2001))
    assert whole["text"].to_list() == [f"line {i}" for i in range(1, 2001)]
    resumed = data[frames[3]["position"][-1] :]
    assert resumed.startswith(f"{frames[4]['text'][0]}\n".encode())


def tarball(text: bytes = b"started\n") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("app.log")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (bytes(range(256)) * 40, "binary"),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 57, "a program"),
        (b"text " * 20 + b"\0\x01\x02\x03" * 50, "binary"),
        (b"PK\x03\x04" + b"\x14" * 30, "a zip archive"),
        (gzip.compress(tarball()), "a tar archive"),
        (gzip.compress(tarball(b"service started\n" * 50_000)), "a tar archive"),
        ("service started\n".encode("utf-16-le"), "text in UTF-16 without a byte order mark"),
        ("﻿service started\n".encode("utf-32"), "text in UTF-32"),
    ],
)
def test_what_is_no_text_is_an_error_that_names_it(data, what):
    with pytest.raises(InputError, match=f"standard input holds no log lines: it is {what}") as caught:
        read(data)
    assert caught.value.hint


def test_a_hole_at_the_beginning_of_a_rotated_log_is_no_reason_to_refuse_it():
    rows, tally = read(b"\0" * 100_000 + b"first line after truncation\nsecond\n")
    assert rows == [(1, 100_028, "first line after truncation"), (2, 100_035, "second")]
    assert tally.counts == {"NUL bytes removed": 1}


def test_messages_with_control_characters_as_separators_are_text():
    assert texts(b"8=FIX.4.2\x019=65\x0135=A\x0110=062\x01\n" * 3)[0] == "8=FIX.4.2\x019=65\x0135=A\x0110=062\x01"


def test_an_empty_source_gives_no_frame_and_is_counted(tmp_path):
    empty = tmp_path / "empty.log"
    empty.touch()
    tally = Tally()
    assert list(read_blocks(str(empty), tally)) == []
    assert tally.counts == {"source without a line": 1}


def test_a_file_that_cannot_be_opened_is_an_error_with_its_reason(tmp_path):
    with pytest.raises(InputError, match=r"gone\.log cannot be opened: No such file or directory"):
        next(read_blocks(str(tmp_path / "gone.log"), Tally()))
    with pytest.raises(InputError, match="cannot be opened: Is a directory"):
        next(read_blocks(str(tmp_path), Tally()))
    with pytest.raises(InputError, match="cannot be opened: embedded null byte"):
        next(read_blocks("a\0b", Tally()))


def test_standard_input_that_is_closed_is_an_error(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match=r"Standard input is closed\. Pipe lines into it"):
        next(read_blocks("-", Tally()))


def test_without_another_stream_standard_input_is_that_of_the_process(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"disk full\n")))
    (frame,) = read_blocks("-", Tally())
    assert frame.rows() == [("-", 10, 1, "disk full", 1)]


def test_a_read_that_fails_in_the_middle_keeps_what_came_before():
    class Failing(io.RawIOBase):
        def __init__(self) -> None:
            self.left = [b"one\ntwo\n"]

        def read(self, _size: int = -1) -> bytes:
            if self.left:
                return self.left.pop()
            raise OSError(5, "Input/output error")

    tally = Tally()
    (frame,) = read_blocks("-", tally, stdin=Failing())
    assert frame["text"].to_list() == ["one", "two"]
    assert tally.examples["source not read to its end"] == "- at byte 8: Input/output error"


def test_a_file_was_changed_when_the_file_system_says_so_and_now_where_it_does_not(tmp_path):
    file = tmp_path / "app.log"
    file.touch()
    os.utime(file, (1_735_689_599, 1_735_689_599))
    assert file_changed(str(file)) == datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC)
    before = datetime.now(UTC)
    assert before <= file_changed(str(tmp_path / "gone.log")) <= file_changed("-") <= datetime.now(UTC)
