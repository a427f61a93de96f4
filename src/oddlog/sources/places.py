r"""Where lines stand in their files, so that a few of them can be read again without reading the rest.

>>> import tempfile
>>> from pathlib import Path
>>> from oddlog.sources.files import read_blocks
>>> from oddlog.types import Tally
>>> path = Path(tempfile.mkdtemp(), "app.log")
>>> _ = path.write_bytes(b"".join(b"line %d\n" % i for i in range(1, 1_001)))
>>> places = Places()
>>> for frame in read_blocks(str(path), Tally()):
...     places.note(str(path), frame)
>>> places.read(str(path), [3, 998]).select("line", "text").rows()
[(3, 'line 3'), (998, 'line 998')]
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from oddlog.errors import InputError
from oddlog.sources.blocks import Block, Encoding, encoding_of, to_lines
from oddlog.sources.streams import HEAD_BYTES, is_compressed, is_export
from oddlog.types import I64, LINES, Tally

EVERY = 64
"""One line in so many is remembered: 16 bytes for every 9 kB of log, and as much to read for a line."""
MOST = 1 << 20  # places in memory, 16 MiB; beyond it only every second one is kept, again and again


class Places:
    """Remembers the place of every 64th line of each source."""

    def __init__(self, every: int = EVERY, most: int = MOST) -> None:
        self._every = every
        self._most = most
        self._known: dict[str, list[I64]] = {}
        self._n = 0

    def note(self, source: str, lines: pl.DataFrame) -> None:
        """Remember places in a LINES frame; frames of a source come in order, none is left out."""
        some = lines.select("line", "position").gather_every(self._every)
        if (len(lines) - 1) % self._every:
            some = some.vstack(lines.select("line", "position").tail(1))
        self._known.setdefault(source, []).append(some.to_numpy().astype(np.int64))
        self._n += len(some)
        if self._n > self._most:
            self._thin()

    def _thin(self) -> None:
        """Forget every second place, but never a source's last one: all of its lines lie before that."""
        self._every *= 2
        for source, parts in self._known.items():
            places = np.concatenate(parts)
            kept = np.arange(len(places)) % 2 == 0
            kept[-1] = True
            self._known[source] = [places[kept]]
        self._n = sum(len(parts[0]) for parts in self._known.values())

    def read(self, source: str, numbers: Collection[int], file: BinaryIO | None = None) -> pl.DataFrame | None:
        """Return the LINES of these numbers, None where only reading from the beginning leads to them.

        Parameters
        ----------
        source : str
            A path that was noted.
        numbers : collection of int
            Line numbers; those that are not there are left out.
        file : file, optional
            What to read instead of opening the path.

        Raises
        ------
        InputError
            If the file cannot be opened any more.

        """
        if source not in self._known:
            return None
        places = np.concatenate([np.zeros((1, 2), np.int64), *self._known[source]])
        if file is not None:
            return _read(file, source, places, numbers)
        try:
            with Path(source).open("rb") as opened:
                return _read(opened, source, places, numbers)
        except OSError as error:
            raise InputError(
                f"{source} cannot be opened again: {error.strerror or error}.", "Leave the logs in place meanwhile."
            ) from error


def _read(file: BinaryIO, source: str, places: I64, numbers: Collection[int]) -> pl.DataFrame | None:
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if is_compressed(head) or is_export(head):
        return None
    encoding = encoding_of(head)
    wanted = np.unique(np.fromiter(numbers, np.int64, len(numbers)))
    wanted = wanted[(wanted > 0) & (wanted <= places[-1, 0])]
    # Place i is behind its line: a line stands between the last place before it and the next one.
    before = np.unique(np.searchsorted(places[:, 0], wanted) - 1)
    found = [_between(file, encoding, source, places[i], places[i + 1]) for i in before.tolist()]
    every = pl.concat([pl.DataFrame(schema=LINES), *found])
    return every.filter(pl.col("line").is_in(wanted.astype(np.uint64).tolist()))


def _between(file: BinaryIO, encoding: Encoding, source: str, after: I64, until: I64) -> pl.DataFrame:
    """Return the lines behind one place, up to and with that of the next."""
    file.seek(int(after[1]))
    data = encoding.newline + file.read(int(until[1] - after[1]))
    frame, _ = to_lines(Block(data, int(after[1]), 0), encoding, source, int(after[0]) + 1, Tally())
    return frame
