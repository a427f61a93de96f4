"""A journal in its export form is read as the same journal in JSON, whatever its values hold."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naive.journal import entries_of
from oddlog.formats import detect_format, parse_lines
from oddlog.formats.checks import as_case
from oddlog.pipeline.reading import Reading
from oddlog.sources import Places, expand, read_blocks
from oddlog.sources.files import BROKEN
from oddlog.sources.journal import CUT_FIELD, MAX_ENTRY, MAX_VALUE, as_json
from oddlog.sources.streams import BrokenStreamError, is_export, why_not_text
from oddlog.types import Tally

CORPUS = Path(__file__).resolve().parents[1] / "corpora" / "journal"
EXPORT = CORPUS / "journald.export"
HEAD = b"__CURSOR=s=0;i=1\n__REALTIME_TIMESTAMP=1732097472345678\n"


def with_length(name: bytes, value: bytes) -> bytes:
    return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


def objects(data: bytes, step: int = 128 << 10) -> list[dict[str, str]]:
    pieces = [data[i : i + step] for i in range(0, len(data), step)]
    text = b"".join(as_json(pieces, Tally(), "-")).decode("utf-8", "replace")
    return [json.loads(line) for line in text.split("\n") if line]


def test_every_entry_of_the_corpus_is_read_as_written():
    (lines,) = read_blocks(str(EXPORT), Tally())
    found = detect_format(lines["text"], year=2024)
    assert (found.format.name, found.confidence) == ("journald", 1.0)
    expected = [json.loads(line) for line in (CORPUS / "journald.jsonl").read_text("utf-8").splitlines()]
    assert len(expected) >= 10
    for row, case in zip(parse_lines(lines, found, year=2024).to_dicts(), expected, strict=True):
        kept = {name: value for name, value in row.items() if name not in lines.columns}
        assert as_case("", kept) == {"text": "", **case}


text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
anything = st.lists(
    st.sampled_from(["a", "\n", "=", "\\", '"', "\t", "\n\n", "PRIORITY\n", "MESSAGE=", "ü"]), max_size=9
)
names = st.sampled_from(["MESSAGE", "PRIORITY", "_PID", "A", "SYSLOG_IDENTIFIER"])
field = st.one_of(
    st.tuples(names, text).map(lambda f: f"{f[0]}={f[1]}\n".encode()),
    st.tuples(names, anything.map("".join)).map(lambda f: with_length(f[0].encode(), f[1].encode())),
)


@given(entries=st.lists(st.lists(field, max_size=5), min_size=1, max_size=5), step=st.integers(1, 90))
def test_fields_are_those_of_a_reader_that_goes_byte_by_byte(entries, step):
    data = b"".join(HEAD + b"".join(fields) + b"\n" for fields in entries)
    expected = [{name: value.decode() for name, value in fields.items()} for fields in entries_of(data)]
    assert objects(data, step) == expected


def test_an_export_is_known_by_how_it_begins():
    assert is_export(EXPORT.read_bytes()[:1000])
    assert is_export(b"MESSAGE=first\n" + HEAD)
    assert not is_export(b"HOME=/root\nPATH=/bin\nA=1\n")
    assert not is_export(b'{"__CURSOR":"s=0"}\n')
    assert not is_export(b"level=info __CURSOR=1 msg=hello\n")


def test_it_is_found_in_a_folder_although_lengths_are_full_of_nuls(tmp_path):
    data = b"".join(HEAD[:52] + b"5678\n" + with_length(b"MESSAGE", b"a\nb") + b"\n" for _ in range(3_000))
    assert data.count(0) > 0.05 * len(data)
    (tmp_path / "web").write_bytes(data)
    assert why_not_text(data) is None
    assert expand([tmp_path], Tally()) == [str(tmp_path / "web")]


def test_it_may_be_compressed_or_come_from_standard_input_and_blocks_do_not_matter():
    data = EXPORT.read_bytes()
    (whole,) = read_blocks("-", Tally(), stdin=io.BytesIO(data))
    (packed,) = read_blocks("-", Tally(), stdin=io.BytesIO(gzip.compress(data)))
    parts = list(read_blocks("-", Tally(), stdin=io.BytesIO(data), block_bytes=100))
    assert packed.equals(whole)
    assert len(parts) > 1
    assert pl.concat(parts).equals(whole)
    assert whole["line"].to_list() == list(range(1, 13))


def test_entries_of_incidents_are_found_again():
    reading = Reading()
    records = pl.concat(list(reading.records(EXPORT)), how="diagonal")
    again = reading.again({str(EXPORT): [4, 10]})
    assert again["text"].to_list() == records["text"].gather([3, 9]).to_list()
    assert Places().read(str(EXPORT), [1]) is None


def test_long_values_are_cut_and_counted_and_the_entry_stays_readable():
    dump = with_length(b"COREDUMP", b"\0\xff" * 3_000_000) + with_length(b"MESSAGE", b"x\n" * 50_000)
    data = HEAD + b"_PID=1\n" + dump + b"_COMM=shop\n\n" + HEAD + b"MESSAGE=" + b"y" * 70_000 + b"\n\n"
    tally = Tally()
    pieces = [data[i : i + 100_000] for i in range(0, len(data), 100_000)]
    first, second = b"".join(as_json(pieces, tally, "web")).decode("utf-8", "replace").splitlines()
    assert json.loads(first)["_COMM"] == "shop"
    assert len(json.loads(first)["MESSAGE"]) == MAX_VALUE
    assert json.loads(second)["MESSAGE"] == "y" * (MAX_VALUE + 65 - len("MESSAGE="))
    assert tally.counts == {CUT_FIELD: 3}
    assert tally.examples == {CUT_FIELD: "web"}


@pytest.mark.parametrize("cut", [7, 30, 150, 410])
def test_a_compressed_export_that_breaks_off_loses_no_whole_entry(cut):
    data = EXPORT.read_bytes() * 400
    packed = gzip.compress(data)
    tally = Tally()
    frames = list(read_blocks("-", tally, stdin=io.BytesIO(packed[: len(packed) - cut])))
    text = [line for frame in frames for line in frame["text"].to_list()]
    assert tally.counts[BROKEN] == 1
    assert 12 * 300 < len(text) <= 12 * 400
    (whole,) = read_blocks("-", Tally(), stdin=io.BytesIO(data))
    assert text == whole["text"].to_list()[: len(text)]


@pytest.mark.parametrize("missing", [1, 12, 20, 23])
def test_an_export_cut_within_a_value_is_told_and_that_entry_left_out(missing):
    data = HEAD + b"MESSAGE=whole\n\n" + HEAD + with_length(b"MESSAGE", b"never\nwhole")
    tally = Tally()
    (frame,) = read_blocks("-", tally, stdin=io.BytesIO(data[: len(data) - 1 - missing]))
    assert len(frame) == 1
    assert "in the middle of a field" in tally.examples[BROKEN]


def test_the_last_entry_counts_although_no_empty_line_follows():
    assert objects(HEAD + b"MESSAGE=a\n\n" + HEAD + b"MESSAGE=b")[1]["MESSAGE"] == "b"


def test_what_is_no_length_or_has_no_end_stops_the_reading():
    with pytest.raises(BrokenStreamError, match="MESSAGE has a length of"):
        list(as_json([HEAD + b"MESSAGE\nnot a length at all\n\n"], Tally(), "-"))
    endless = [HEAD] + [b"A=" + b"x" * 9_998 + b"\n"] * (MAX_ENTRY // 10_000 + 1)
    with pytest.raises(BrokenStreamError, match="no end"):
        list(as_json(endless, Tally(), "-"))


def test_a_line_that_is_no_field_makes_its_entry_unreadable_and_no_other():
    data = HEAD + b"MESSAGE=a\n\n" + HEAD + b"-- No entries --\nMESSAGE=b\n\n" + HEAD + b"MESSAGE=c\n\n"
    (lines,) = read_blocks("-", Tally(), stdin=io.BytesIO(data))
    records = parse_lines(lines, detect_format(lines["text"], year=2024, names=["journald"]), year=2024)
    assert records["ok"].to_list() == [True, False, True]
