"""Lines that others push, kept on disk until they have been judged: acknowledged only once they are durable.

::

    append ──► segment files ──► poll ──► … ──► commit: segments that nobody needs any more are removed

    segment  0000000000000001.spool      named by the number of its first line
    frame    length u32 · CRC-32 u32 · first line u64 · lines u32 · JSON [[source, [text, …]], …]
             or JSON {"entries": […], "marks": {…}}

Every line has a number of its own, for ever: its position and its line number. Appends of several threads share one
write and one fsync. Who pulls lines from elsewhere gives *marks* with them, how far it has come: both are durable at
once, so that nothing is pulled twice. A segment begins with all marks there are.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from oddlog.errors import InputError, OddlogError
from oddlog.types import LINES, Batch, Tally

Entries = Sequence[tuple[str, Sequence[str]]]
"""Texts by source, in order of arrival."""
Marks = Mapping[str, Mapping[str, Any]]
"""How far those have come who pull: by name, JSON values by part; None for a part that is no more."""

MOST_BYTES = 1 << 30
SEGMENT_BYTES = 64 << 20
READ_BYTES = 1 << 20
TROUBLED_S = 10.0  # so long a failed write is told of: only another try can tell whether it is over
TORN = "end of the spool torn off: it was never acknowledged"
_HEAD = struct.Struct("<IIQI")


class SpoolFullError(OddlogError):
    """There is no room; nothing of what was offered has been taken.

    Parameters
    ----------
    retry_after_s : int
        When to offer it again.

    """

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message, f"Offer it again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s


@dataclass
class _Segment:
    path: Path
    first: int  # number of its first line
    size: int = 0


@dataclass(frozen=True)
class _Waiting:
    """What is to be written."""

    content: bytes
    n: int
    marks: Marks = field(default_factory=dict)


class Spool:
    """A bounded, durable queue of lines. A `types.Source`, and what HTTP endpoints append to.

    Parameters
    ----------
    folder : Path
        Where the segments lie; made if it is not there.
    tally : Tally
        Takes what was torn off.
    most_bytes : int
        Beyond it `append` refuses.
    change : callable, optional
        Returns entries as they are to be kept: without secrets, for instance. As many lines as there were.

    """

    def __init__(
        self,
        folder: Path,
        tally: Tally,
        *,
        most_bytes: int = MOST_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        change: Callable[[Entries], Entries] | None = None,
    ) -> None:
        self._change = change
        self._folder, self._tally = folder, tally
        self._most, self._segment_bytes = most_bytes, segment_bytes
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._marks: dict[str, dict[str, Any]] = {}
        self._waiting_bytes = 0
        self._turn = self._done = 0  # appends that were begun, and those that are durable
        self._failed: dict[int, OSError] = {}
        self.trouble = ""  # why the last write failed; empty if it did not
        self.troubled_s = 0.0  # when, by a clock that never goes back
        self._next: int = 1
        self._leads = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._segments = self._found()
            self._file = self._segments[-1].path.open("ab", buffering=0)
        except OSError as error:
            raise InputError(f"The spool {folder} cannot be used: {error.strerror}.", "Give another --data.") from error
        self._reading = (self._segments[0].first, 0)  # first line of the segment read now, and the offset there
        self._skip = 0  # lines up to this number are not wanted again

    @property
    def appended(self) -> int:
        """The number of the last durable line; the first is 1."""
        return self._next - 1

    @property
    def failing(self) -> str:
        """Why lines could not be kept lately; empty if they could."""
        return self.trouble if time.monotonic() - self.troubled_s < TROUBLED_S else ""

    @property
    def n_bytes(self) -> int:
        """How large it is on disk."""
        return sum(segment.size for segment in self._segments)

    def marks(self, name: str) -> dict[str, Any]:
        """Return the durable marks of one who pulls, by part; none if it never came this far."""
        with self._changed:
            return dict(self._marks.get(name, {}))

    # -- in --------------------------------------------------------------------------------------------------

    def append(self, entries: Entries, marks: Marks | None = None) -> int:
        """Take in lines, and how far who pulls them has come; return once they are durable, with how many they are.

        Raises
        ------
        SpoolFullError
            If there is no room.
        OSError
            If they could not be written; nothing of them is kept.

        """
        n = sum(len(texts) for _, texts in entries)
        if not n and not marks:
            return 0
        if self._change is not None:
            entries = self._change(entries)
        new = _Waiting(orjson.dumps({"entries": entries, "marks": marks} if marks else entries), n, marks or {})
        with self._changed:
            if self.n_bytes + self._waiting_bytes + len(new.content) > self._most:
                raise SpoolFullError(f"The spool holds {self.n_bytes >> 20} MiB that are not judged yet.", 5)
            self._turn += 1
            mine = self._turn
            self._waiting.append(new)
            self._waiting_bytes += len(new.content)
            while self._done < mine and self._leads:
                self._changed.wait()
            if self._done < mine:
                self._leads = True
                taken, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if self._done < mine:
            self._write_for(taken)
        error = self._failed.pop(mine, None)
        if error is not None:
            raise OSError(error.errno, error.strerror)
        return n

    def _write_for(self, taken: list[_Waiting]) -> None:
        """Write what several appends have brought, as the one that leads them."""
        failed: OSError | None = None
        try:
            self._write(taken)
        except OSError as error:
            failed = error
        with self._changed:
            self.trouble = "" if failed is None else failed.strerror or str(failed)
            if failed is not None:
                self.troubled_s = time.monotonic()
                self._failed |= {self._done + 1 + i: failed for i in range(len(taken))}
            self._done += len(taken)
            self._leads = False
            self._changed.notify_all()

    def _write(self, taken: list[_Waiting]) -> None:
        last = self._segments[-1]
        if last.size > self._segment_bytes:
            last = self._begin_segment()
        frames, number = [], self._next
        if not last.size and self._marks:
            frames.append(_frame(orjson.dumps({"entries": [], "marks": self._marks}), number, 0))
        for one in taken:
            frames.append(_frame(one.content, number, one.n))
            number += one.n
        data = b"".join(frames)
        try:
            written = 0
            while written < len(data):
                written += self._file.write(memoryview(data)[written:])
            os.fsync(self._file.fileno())
            self._require_there(last.path)
        except OSError:
            self._file.truncate(last.size)  # nothing half-written stays before what comes later
            raise
        with self._changed:
            last.size += len(data)
            self._next = number
            for one in taken:
                _take_marks(self._marks, one.marks)

    def _require_there(self, path: Path) -> None:
        """See that what was written can be read again: a file that was moved away is written to without an error."""
        there = path.stat()
        if not os.path.samestat(there, os.fstat(self._file.fileno())):
            raise OSError(errno.ESTALE, "another file is in the place of the spool's")

    def _begin_segment(self) -> _Segment:
        segment = _Segment(self._folder / f"{self._next:016x}.spool", self._next)
        file = segment.path.open("ab", buffering=0)
        _sync_folder(self._folder)
        self._file.close()
        self._file = file
        with self._changed:
            self._segments.append(segment)
        return segment

    def _found(self) -> list[_Segment]:
        """Return the segments on disk; what was torn off at the end of the last one is cut away."""
        paths = sorted(self._folder.glob("*.spool"))
        segments = [_Segment(path, int(path.stem, 16), path.stat().st_size) for path in paths]
        if not segments:
            segments = [_Segment(self._folder / f"{1:016x}.spool", 1)]
            segments[0].path.touch()
            _sync_folder(self._folder)
        last = segments[-1]
        self._next, good = last.first, 0
        for first, n, content, end in _frames(last.path, 0):
            self._next, good = first + n, end
            _take_marks(self._marks, _marks_in(content))
        if not good and len(segments) > 1:  # begun, and not written to: the marks are in the one before
            for _, _, content, _ in _frames(segments[-2].path, 0):
                _take_marks(self._marks, _marks_in(content))
        if good < last.size:
            self._tally.add(TORN, example=f"{last.path.name} from byte {good}")
            os.truncate(last.path, good)
            last.size = good
        return segments

    # -- out -------------------------------------------------------------------------------------------------

    def seek(self, after: int) -> None:
        """Begin to read behind the line of this number."""
        self._skip = after
        first = next((one.first for one in reversed(self._segments) if one.first <= after + 1), self._segments[0].first)
        self._reading = (first, 0)

    def poll(self, max_lines: int, timeout_s: float) -> Batch:
        """Return lines that were appended; see `types.Source`."""
        with self._changed:
            self._changed.wait_for(lambda: self._skip < self.appended, timeout_s)
        sources: list[str] = []
        texts: list[str] = []
        numbers: list[np.ndarray[Any, Any]] = []
        while len(texts) < max_lines and self._skip < self.appended:
            frame = self._next_frame()
            if frame is None:
                break
            first, n, content = frame
            here = [(source, text) for source, some in _entries_in(content) for text in some]
            at = max(self._skip + 1 - first, 0)
            sources += [source for source, _ in here[at:]]
            texts += [text for _, text in here[at:]]
            numbers.append(np.arange(first + at, first + n, dtype=np.uint64))
            self._skip = max(self._skip, first + n - 1)
        number = pl.Series(np.concatenate([np.empty(0, np.uint64), *numbers]))
        columns = {"source": sources, "position": number, "line": number, "text": texts}
        frame_ = pl.DataFrame(columns).with_columns(count=pl.lit(1)).select(LINES.names()).cast(dict(LINES))  # type: ignore[arg-type] # a schema is a mapping
        return Batch(frame_, self._skip)

    def _next_frame(self) -> tuple[int, int, bytes] | None:
        """Return the next frame: its first line, how many it has, and its content."""
        while True:
            begun, offset = self._reading
            with self._changed:
                at = next(i for i, one in enumerate(self._segments) if one.first == begun)
                segment, size = self._segments[at], self._segments[at].size
                further = self._segments[at + 1].first if at + 1 < len(self._segments) else None
            if offset >= size:
                if further is None:
                    return None
                self._reading = (further, 0)
                continue
            for first, n, content, end in _frames(segment.path, offset):
                self._reading = (begun, end)
                return first, n, content
            return None

    def commit(self, position: Any) -> None:
        """Remove the segments all of whose lines are numbered up to `position`; the last one stays."""
        with self._changed:
            # Marks stand in every segment that was written to: the one before an empty one is kept for its marks.
            pairs = zip(self._segments, self._segments[1:], strict=False)
            gone = [one for one, after in pairs if after.first <= position + 1 and after.size]
            gone = [one for one in gone if one.first < self._reading[0]]
            self._segments = [one for one in self._segments if one not in gone]
        for one in gone:
            one.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the segment that is written to."""
        self._file.close()


def _frame(content: bytes, number: int, n: int) -> bytes:
    return _HEAD.pack(len(content), zlib.crc32(content), number, n) + content


def _entries_in(content: bytes) -> Entries:
    found = orjson.loads(content)
    entries: Entries = found["entries"] if isinstance(found, dict) else found
    return entries


def _marks_in(content: bytes) -> Marks:
    return orjson.loads(content)["marks"] if content[:1] == b"{" else {}


def _take_marks(known: dict[str, dict[str, Any]], new: Marks) -> None:
    for name, parts in new.items():
        mine = known.setdefault(name, {})
        mine.update(parts)
        for gone in [part for part, value in mine.items() if value is None]:
            del mine[gone]


def _frames(path: Path, offset: int) -> Iterator[tuple[int, int, bytes, int]]:
    """Yield first line, number of lines, content and end of the whole frames of a segment from an offset on."""
    with path.open("rb") as file:
        file.seek(offset)
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, crc, first, n = _HEAD.unpack(head)
            content = file.read(length)
            if len(content) < length or zlib.crc32(content) != crc:
                return
            offset += _HEAD.size + length
            yield first, n, content, offset


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
