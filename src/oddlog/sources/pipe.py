"""Standard input (or any pipe) while it is written to: ``kubectl logs -f pod | oddlog watch - -m app.model``."""

from __future__ import annotations

import os
import select
from typing import Any

import polars as pl

from oddlog.sources.blocks import UTF8, Block, to_lines
from oddlog.sources.folders import STDIN
from oddlog.types import LINES, Batch, Tally

READ_BYTES = 1 << 20


class Pipe:
    """Reads lines from a file descriptor as they come. A `types.Source`.

    Parameters
    ----------
    tally : Tally
        Takes what was cut or repaired.
    fd : int
        By default that of standard input.
    name : str
        What the source is called.

    """

    def __init__(self, tally: Tally, fd: int = 0, name: str = STDIN) -> None:
        self._tally, self._fd, self._name = tally, fd, name
        self._rest = b""
        self._hidden = 0  # bytes of an overlong line that were not kept
        self._start = self._line = 0
        self.ended = False

    def poll(self, max_lines: int, timeout_s: float) -> Batch:
        """Return lines that have come; see `types.Source`."""
        frames, n = [], 0
        while not self.ended and n < max_lines:
            if not select.select([self._fd], [], [], 0.0 if n else timeout_s)[0]:
                break
            data = os.read(self._fd, READ_BYTES)
            self.ended = not data
            frame = self._take(data)
            if frame is not None:
                frames.append(frame)
                n += len(frame)
        return Batch(pl.concat([pl.DataFrame(schema=LINES), *frames]), self._start)

    def commit(self, position: Any) -> None:
        """Do nothing: what was read from a pipe is gone."""

    def close(self) -> None:
        """Do nothing: whoever opened the pipe closes it."""

    def _take(self, data: bytes) -> pl.DataFrame | None:
        """Return the lines that are whole now; at the end of the stream also one without an end."""
        end = data.rfind(b"\n") + 1
        if not end and not self.ended:
            self._keep(data)
            return None
        whole = b"\n" + self._rest + data[:end]
        if len(whole) == 1:
            return None
        block = Block(whole, self._start, self._hidden)
        frame, n_lines = to_lines(block, UTF8, self._name, self._line + 1, self._tally)
        self._start += len(whole) - 1 + self._hidden
        self._line += n_lines
        self._rest, self._hidden = b"", 0
        self._keep(data[end:])
        return frame

    def _keep(self, data: bytes) -> None:
        """Keep the beginning of a line that has no end yet: no more of it than is ever shown."""
        room = max(UTF8.max_bytes - len(self._rest), 0)
        self._rest += data[:room]
        self._hidden += len(data) - len(data[:room])
