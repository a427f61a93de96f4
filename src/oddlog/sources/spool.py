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
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from oddlog.errors import InputError, OddlogError
from oddlog.sources.spooled import Entries, Marks, entries_in, frame, frames_in, marks_in, sync, take_marks
from oddlog.types import LINES, Batch, Tally

MOST_BYTES = 1 << 30
SEGMENT_BYTES = 64 << 20
READ_BYTES = 1 << 20
TROUBLED_S = 10.0  # so long a failed write is told of: only another try can tell whether it is over
PUT_BACK_S = 60.0  # whoever moves the folder away by mistake, or to look at it, has so long to put it back
LOOK_S = 1.0  # between looks whether it is there, while nothing is written
GONE = "line gone with the folder of the spool"
TORN = "end of the spool torn off: it was never acknowledged"
_log = logging.getLogger("oddlog")


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
    clock : callable
        Seconds that never go back.

    """

    def __init__(
        self,
        folder: Path,
        tally: Tally,
        *,
        most_bytes: int = MOST_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        change: Callable[[Entries], Entries] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._looked_s = clock, clock()
        self._gone_s: float | None = None  # since when the file that is written to is not where it was
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
            self._file = self._segments[-1].path.open("a+b", buffering=0)
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
        return self.trouble if self._clock() - self.troubled_s < TROUBLED_S else ""

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
            self._tend()
            self._write(taken)
        except OSError as error:
            failed = error
        with self._changed:
            self._note(failed)
            if failed is not None:
                self._failed |= {self._done + 1 + i: failed for i in range(len(taken))}
            self._done += len(taken)
            self._leads = False
            self._changed.notify_all()

    def _note(self, failed: OSError | None) -> None:
        self.trouble = "" if failed is None else failed.strerror or str(failed)
        if failed is not None:
            self.troubled_s = self._clock()

    def _write(self, taken: list[_Waiting]) -> None:
        last = self._segments[-1]
        if last.size > self._segment_bytes:
            last = self._begin_segment()
        pieces, number = [], self._next
        if not last.size and self._marks:
            pieces.append(frame(orjson.dumps({"entries": [], "marks": self._marks}), number, 0))
        for one in taken:
            pieces.append(frame(one.content, number, one.n))
            number += one.n
        data = b"".join(pieces)
        try:
            written = 0
            while written < len(data):
                written += self._file.write(memoryview(data)[written:])
            os.fsync(self._file.fileno())
            self._require_there()
        except OSError:
            self._file.truncate(last.size)  # nothing half-written stays before what comes later
            raise
        with self._changed:
            last.size += len(data)
            self._next = number
            for one in taken:
                take_marks(self._marks, one.marks)

    # -- where it lies ---------------------------------------------------------------------------------------

    def _require_there(self) -> None:
        """See that what was written can be read again: a file that was moved away is written to without an error."""
        try:
            there = self._segments[-1].path.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(errno.ENOENT, "the folder of the spool is gone") from error
        if not os.path.samestat(there, os.fstat(self._file.fileno())):
            raise OSError(errno.ESTALE, "another file is in the place of the spool's")

    def _tend(self) -> None:
        """See that the file that is written to is where it was; make it anew where it is gone for good."""
        self._looked_s = self._clock()
        try:
            self._require_there()
        except FileNotFoundError:
            if self._gone_s is None:
                self._gone_s = self._looked_s
                said = "%s is gone: lines are refused until it is put back; in %.0f s it is made anew."
                _log.error(said, self._folder, PUT_BACK_S)
            if self._looked_s - self._gone_s < PUT_BACK_S:
                raise
            self._renew()
        if self._gone_s is not None:
            _log.warning("%s is there again: lines are taken.", self._folder)
        self._gone_s = None

    def _renew(self) -> None:
        """Make the folder and the segment that is written to anew; lines of others that were not read are gone."""
        last = self._segments[-1]
        self._folder.mkdir(parents=True, exist_ok=True)
        aside = last.path.with_suffix(".part")
        with aside.open("wb") as file:
            for at in range(0, last.size, READ_BYTES):
                file.write(os.pread(self._file.fileno(), min(READ_BYTES, last.size - at), at))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(last.path)
        sync(self._folder)
        self._file.close()
        self._file = last.path.open("a+b", buffering=0)
        with self._changed:
            self._segments = [one for one in self._segments if one is last or one.path.exists()]
            first = self._segments[0].first
            if self._reading[0] < first:
                self._reading = (first, 0)
                self._tally.add(GONE, first - 1 - self._skip, example=str(self._folder))
                self._skip = max(self._skip, first - 1)

    def _look(self) -> None:
        """Do that now and then also while nothing is written."""
        with self._changed:
            if self._leads or self._clock() - self._looked_s < LOOK_S:
                return
            self._leads = True
        failed, was_gone = None, self._gone_s is not None
        try:
            self._tend()
        except OSError as error:
            failed = error
        with self._changed:
            if failed is not None or was_gone:
                self._note(failed)
            self._leads = False
            self._changed.notify_all()

    def _begin_segment(self) -> _Segment:
        segment = _Segment(self._folder / f"{self._next:016x}.spool", self._next)
        file = segment.path.open("a+b", buffering=0)
        sync(self._folder)
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
            sync(self._folder)
        last = segments[-1]
        self._next, good = last.first, 0
        for first, n, content, end in frames_in(last.path, 0):
            self._next, good = first + n, end
            take_marks(self._marks, marks_in(content))
        if not good and len(segments) > 1:  # begun, and not written to: the marks are in the one before
            for _, _, content, _ in frames_in(segments[-2].path, 0):
                take_marks(self._marks, marks_in(content))
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
        self._look()
        with self._changed:
            self._changed.wait_for(lambda: self._skip < self.appended, timeout_s)
        sources: list[str] = []
        texts: list[str] = []
        numbers: list[np.ndarray[Any, Any]] = []
        while len(texts) < max_lines and self._skip < self.appended:
            next_ = self._next_frame()
            if next_ is None:
                break
            first, n, content = next_
            here = [(source, text) for source, some in entries_in(content) for text in some]
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
            with self._changed:
                begun, offset = self._reading
                at = next((i for i, one in enumerate(self._segments) if one.first == begun), None)
                if at is None:  # it has gone meanwhile
                    self._reading = (self._segments[0].first, 0)
                    continue
                segment, size = self._segments[at], self._segments[at].size
                further = self._segments[at + 1].first if at + 1 < len(self._segments) else None
            if offset >= size:
                if further is None:
                    return None
                self._reading = (further, 0)
                continue
            for first, n, content, end in frames_in(segment.path, offset):
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
