"""A few lines of a file are read again without the rest, and are the lines they were."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlog.errors import InputError
from oddlog.sources import Places, read_blocks
from oddlog.types import Tally


def noted(path: Path, **options: int) -> tuple[Places, pl.DataFrame]:
    places, frames = Places(**options), []
    for frame in read_blocks(str(path), Tally(), block_bytes=300):
        places.note(str(path), frame)
        frames.append(frame)
    return places, pl.concat(frames)


line = st.sampled_from([b"", b"disk full", b"retrying \xff", b"x" * 70, "Grüße".encode(), b"\x1b[31mred\x1b[0m"])


@given(
    lines=st.lists(line, min_size=1, max_size=60),
    end=st.sampled_from([b"\n", b"\r\n"]),
    every=st.integers(1, 9),
    most=st.integers(1, 12),
    data=st.data(),
)
def test_any_lines_read_again_are_those_that_were_read_first(tmp_path_factory, lines, end, every, most, data):
    path = tmp_path_factory.mktemp("places") / "app.log"
    path.write_bytes(b"\0\0\0first" + end + end.join(lines))
    places, frame = noted(path, every=every, most=most)
    numbers = data.draw(st.sets(st.sampled_from(frame["line"].to_list())))
    assert places.read(str(path), numbers).equals(frame.filter(pl.col("line").is_in(list(numbers))))


def test_utf_16_is_read_again_from_the_middle(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes("\n".join(f"Zeile {i} Ä" for i in range(1, 301)).encode("utf-16"))
    places, frame = noted(path)
    again = places.read(str(path), [1, 64, 65, 300])
    assert again["text"].to_list() == ["Zeile 1 Ä", "Zeile 64 Ä", "Zeile 65 Ä", "Zeile 300 Ä"]
    assert again["position"].to_list() == frame["position"].gather([0, 63, 64, 299]).to_list()


def test_only_the_neighbourhood_of_a_line_is_read(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(b"".join(b"line %d\n" % i for i in range(1, 10_001)))
    places, _ = noted(path)

    class Counting(io.BytesIO):
        asked = 0

        def read(self, size=-1):
            self.asked += size
            return super().read(size)

    file = Counting(path.read_bytes())
    assert places.read(str(path), [9_000], file)["text"].to_list() == ["line 9000"]
    assert file.asked < 66_000  # the head, which tells what file it is, and 64 lines of ten bytes


def test_numbers_that_are_not_there_are_left_out(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(b"one\ntwo\n")
    places, _ = noted(path)
    assert places.read(str(path), [0, 2, 3])["text"].to_list() == ["two"]


def test_a_compressed_file_cannot_be_read_from_the_middle(tmp_path):
    path = tmp_path / "app.log.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    places, _ = noted(path)
    assert places.read(str(path), [2]) is None


def test_a_source_that_was_not_noted_has_no_places():
    assert Places().read("app.log", [1]) is None


def test_a_file_that_has_gone_is_told(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(b"one\n")
    places, _ = noted(path)
    path.unlink()
    with pytest.raises(InputError, match="cannot be opened again"):
        places.read(str(path), [1])


def test_places_in_memory_are_bounded(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(b"".join(b"line %d\n" % i for i in range(1, 5_001)))
    places, _ = noted(path, every=1, most=100)
    assert places._n <= 100
    assert places.read(str(path), [1, 2_500, 5_000])["line"].to_list() == [1, 2_500, 5_000]
