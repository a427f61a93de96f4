"""Files that grow, followed: rotation, truncation, copies, and files that appear later.

::

    app.log ──► inode 17, read up to byte 4,096 ──┐ renamed to app.log.1: read to its end, a moment longer than that
    app.log ──► inode 23, from its beginning  ◄───┘ positions and line numbers go on across both

A *place* in a followed file is counted over all its generations: bytes and lines since the first one that was seen. So
no two lines have one name, and a rotation does not look like a file that begins anew.
"""

from __future__ import annotations

import glob
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from oddlog.errors import InputError
from oddlog.sources.blocks import Block, Encoding, encoding_of, to_lines
from oddlog.sources.folders import why_no_log
from oddlog.sources.streams import HEAD_BYTES, is_compressed, why_not_text
from oddlog.types import LINES, Batch, Tally

READ_BYTES = 1 << 20  # of a file at a time: several that grow take turns
SCAN_S = 1.0  # between looks at names: rotation, truncation, new files
GRACE_S = 2.0  # so long without news of a file that was renamed or removed, until it is let go
LEAST_WAIT_S = 0.05
MARK_BYTES = 1024  # of a file's beginning, by which it is known again
MOST_FOLLOWED = 1_000
MOST_KNOWN = 4_096  # generations remembered, so that a rotated file is not taken for a new one
COUNT_BYTES = 2 << 30  # where reading begins at the end of a larger file, its lines are not counted

TRUNCATED = "followed file truncated"
HALF = "last line without an end lost: its file was truncated"
GONE = "followed file rotated away while nobody watched: its last lines were not read"
COMPRESSED = "compressed file not followed"
COPY = "copy of a followed file not followed"
BEYOND = f"file beyond the {MOST_FOLLOWED:,} followed at once"


@dataclass(frozen=True)
class Mark:
    """What a file is known by: its place on disk and a hash of its first bytes."""

    device: int
    inode: int
    n: int
    head: str

    @classmethod
    def of(cls, file: BinaryIO, n: int = MARK_BYTES) -> Mark:
        """Return the mark of an open file."""
        status = os.fstat(file.fileno())
        head = os.pread(file.fileno(), n, 0)
        return cls(status.st_dev, status.st_ino, len(head), hashlib.blake2b(head, digest_size=8).hexdigest())

    def begins(self, file: BinaryIO) -> bool:
        """Return whether a file begins with the bytes that this mark was made of."""
        now = Mark.of(file, self.n)
        return (now.n, now.head) == (self.n, self.head)

    @property
    def place(self) -> tuple[int, int]:
        """Where the file lies on disk."""
        return self.device, self.inode


@dataclass
class _Followed:
    """One generation of a file."""

    path: str
    file: BinaryIO
    mark: Mark
    encoding: Encoding
    base: int  # bytes of earlier generations
    offset: int = 0  # read of this one, up to a line's end
    line: int = 0  # read of all
    scanned: int = 0  # bytes behind `offset` that hold no line end
    news_s: float = 0.0  # when something was last read
    leaves: bool = False  # renamed or removed: read to its end and then let go


class Tail:
    """Follows files. A `types.Source`.

    Parameters
    ----------
    paths : sequence of str
        Files (that need not exist yet), folders, globs; looked at again and again.
    tally : Tally
        Takes what was cut, repaired, truncated, or passed over.
    from_start : bool
        Read what is there already; otherwise only what comes from now on. Files that appear later are read whole.
    places : mapping
        What `state` returned before, to resume from.
    clock : callable
        Seconds that never go back.
    wait : callable
        Waits so many seconds.

    """

    def __init__(
        self,
        paths: Sequence[str],
        tally: Tally,
        *,
        from_start: bool = False,
        places: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        if not paths:
            raise InputError("No file to follow was named.", "Name files, folders or globs, or - for standard input.")
        self._paths, self._tally, self._clock, self._wait = list(paths), tally, clock, wait
        self._followed: dict[str, _Followed] = {}
        self._begun: dict[str, tuple[int, int]] = {}  # (position, line) that reading began behind
        self._known: dict[tuple[int, int], None] = {}  # devices and inodes, in order
        self._heads: dict[str, None] = {}  # hashes of beginnings
        self._ended: dict[str, tuple[int, int]] = {}  # path -> bytes and lines of all its generations that ended
        self._refused: set[tuple[int, int]] = set()
        self._resume = dict(places or {})
        self._scanned_s = -SCAN_S
        self._from_start = from_start
        self._scan(first=True)

    @property
    def files(self) -> list[str]:
        """What is followed now."""
        return list(self._followed)

    def poll(self, max_lines: int, timeout_s: float) -> Batch:
        """Return lines that were written since; see `types.Source`."""
        until = self._clock() + timeout_s
        while True:
            if self._clock() - self._scanned_s >= SCAN_S:
                self._scan()
            frames, n = [], 0
            for one in list(self._followed.values()):
                frame = self._read(one)
                if frame is not None:
                    frames.append(frame)
                    n += len(frame)
                if n >= max_lines:
                    # Who has waited goes first next time.
                    self._followed[one.path] = self._followed.pop(one.path)
                    break
            now = self._clock()
            if n or now >= until:
                return Batch(pl.concat([pl.DataFrame(schema=LINES), *frames]), self.state())
            self._wait(min(LEAST_WAIT_S, max(until - now, 0.0)))

    def commit(self, position: Any) -> None:
        """Do nothing: files keep what was read."""

    def state(
        self, places: Mapping[str, tuple[int, int]] | None = None, _earliest: int | None = None
    ) -> dict[str, Any]:
        """Return where to resume, as JSON.

        `places` gives (position, line) behind the last line of each source that has been dealt with; of one that it
        does not name nothing has been. Without it everything handed over has been.
        """
        told = {}
        for path, one in self._followed.items():
            if places is None:
                position, line = one.base + one.offset, one.line
            else:
                position, line = places.get(path) or self._begun.get(path, (one.base, one.line))
            if position < one.base:
                # A record that is still open began in the generation before: its beginning is given up.
                position, line = one.base, one.line
            told[path] = {**asdict(one.mark), "base": one.base, "offset": position - one.base, "line": line}
        return told | {path: place for path, place in self._resume.items() if path not in told}

    def close(self) -> None:
        """Let go of all files."""
        for one in self._followed.values():
            one.file.close()
        self._followed.clear()

    # -- which files ----------------------------------------------------------------------------------------

    def _scan(self, *, first: bool = False) -> None:
        """Look at the names again: what was rotated, truncated, or is new."""
        self._scanned_s = self._clock()
        for one in list(self._followed.values()):
            self._check(one)
        for path in self._named():
            if path not in self._followed:
                self._follow(path, at_end=first and not self._from_start)

    def _named(self) -> Iterator[str]:
        for path in self._paths:
            if Path(path).is_dir():
                names = sorted(str(Path(here, name)) for here, _, files in os.walk(path) for name in files)
                yield from (name for name in names if name in self._followed or not why_no_log(name))
            elif glob.has_magic(path) and not Path(path).exists():
                found = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
                yield from (name for name in found if name in self._followed or not why_no_log(name))
            elif Path(path).exists():
                yield path

    def _check(self, one: _Followed) -> None:
        """Notice that a file was truncated, renamed or removed."""
        size = os.fstat(one.file.fileno()).st_size
        if size < one.offset or not one.mark.begins(one.file):
            self._tally.add(TRUNCATED, example=one.path)
            self._tally.add(HALF, int(one.scanned > 0), example=one.path)
            one.base, one.offset, one.scanned = one.base + one.offset, 0, 0
            one.mark = Mark.of(one.file)
            self._know(one.mark)
        elif one.mark.n < MARK_BYTES and size > one.mark.n:
            one.mark = Mark.of(one.file)
            self._know(one.mark)
        try:
            there = Path(one.path).stat()
        except OSError:
            one.leaves = True
        else:
            one.leaves = (there.st_dev, there.st_ino) != one.mark.place

    def _follow(self, path: str, *, at_end: bool) -> None:
        """Begin to follow a file."""
        try:
            status = Path(path).stat()
            if (status.st_dev, status.st_ino) in self._refused:
                return
            file = Path(path).open("rb")  # noqa: SIM115 - kept open while it is followed
        except OSError as error:
            self._tally.add("file that cannot be opened", example=f"{path}: {error.strerror}")
            return
        mark = Mark.of(file)
        place = self._resume.pop(path, None)
        if self._is_no_log(path, file, mark, place):
            self._refused.add(mark.place)
            file.close()
            return
        if not mark.n:
            # An empty file has no beginning to know it by; it is followed from its first byte on.
            at_end = False
        base, line = self._ended.pop(path, (0, 0))
        one = _Followed(path, file, mark, encoding_of(os.pread(file.fileno(), 4, 0)), base, 0, line)
        if place is not None:
            one = self._resumed(one, place)
        elif at_end:
            self._to_end(one)
        one.news_s = self._clock()
        self._begun.setdefault(path, (one.base + one.offset, one.line))
        self._followed[path] = one
        self._know(one.mark)

    def _resumed(self, new: _Followed, place: Mapping[str, Any]) -> _Followed:
        """Return the generation to go on with: the file at this name, or the one that had it before."""
        mark = Mark(*(place[name] for name in ("device", "inode", "n", "head")))
        new.base, new.line = place["base"], place["line"]
        if mark.place == new.mark.place and mark.begins(new.file):
            new.offset = min(place["offset"], os.fstat(new.file.fileno()).st_size)
            return new
        new.base += place["offset"]
        old = self._renamed(new.path, mark)
        if old is None:
            self._tally.add(GONE, example=new.path)
            return new
        new.file.close()
        head = encoding_of(os.pread(old.fileno(), 4, 0))
        return _Followed(new.path, old, mark, head, place["base"], place["offset"], place["line"], leaves=True)

    def _renamed(self, path: str, mark: Mark) -> BinaryIO | None:
        """Return the file of this mark, open, if it stands beside `path` under another name."""
        for entry in sorted(Path(path).parent.glob(f"{glob.escape(Path(path).stem)}*")):
            try:
                status = entry.stat()
                if (status.st_dev, status.st_ino) == mark.place:
                    file = entry.open("rb")
                    if mark.begins(file):
                        return file
                    file.close()
            except OSError:
                continue
        return None

    def _is_no_log(self, path: str, file: BinaryIO, mark: Mark, place: object) -> bool:
        head = os.pread(file.fileno(), HEAD_BYTES, 0)
        if mark.place in self._known and place is None:
            return True  # a followed file under the name it was rotated to
        # A name that was followed before, or was asked for, is read whatever it begins with: all may have one header.
        fresh = place is None and path not in self._ended and path not in self._paths
        copy = fresh and mark.n == MARK_BYTES and mark.head in self._heads
        why = COPY if copy else COMPRESSED if is_compressed(head) else ""
        found = why_not_text(head)
        why = why or (f"file not followed: {found[0]}" if found else "")
        why = why or (BEYOND if len(self._followed) >= MOST_FOLLOWED else "")
        self._tally.add(why, int(bool(why)), example=path)
        return bool(why)

    def _know(self, mark: Mark) -> None:
        self._known[mark.place] = None
        self._heads[mark.head] = None
        for known in (self._known, self._heads):
            while len(known) > MOST_KNOWN:
                del known[next(iter(known))]  # type: ignore[arg-type] # a key of its own

    def _to_end(self, one: _Followed) -> None:
        """Begin behind the last line that is there; the lines before it are counted."""
        size = os.fstat(one.file.fileno()).st_size
        counted = size <= COUNT_BYTES
        at = 0 if counted else size - READ_BYTES
        while at < size:
            data = os.pread(one.file.fileno(), READ_BYTES, at)
            if not data:
                break
            end = data.rfind(one.encoding.newline)
            if end >= 0:
                one.offset = at + end + one.encoding.unit
            one.line += data.count(one.encoding.newline) if counted else 0
            at += len(data)

    # -- their lines ----------------------------------------------------------------------------------------

    def _read(self, one: _Followed) -> pl.DataFrame | None:
        """Return the next lines of a file, None if there are none."""
        data = os.pread(one.file.fileno(), READ_BYTES, one.offset + one.scanned)
        if not data:
            return self._let_go(one) if one.leaves else None
        if not one.mark.begins(one.file):
            self._check(one)  # truncated and written anew since the last look at names
            return self._read(one)
        one.news_s = self._clock()
        if one.scanned:
            return self._read_long(one, data)
        end = _behind_newline(data, one.encoding)
        if end:
            return self._lines(one, data[:end], end)
        one.scanned += len(data) // one.encoding.unit * one.encoding.unit
        return None

    def _read_long(self, one: _Followed, data: bytes) -> pl.DataFrame | None:
        """Return the line whose beginning was read before, if its end has come."""
        end = data.find(one.encoding.newline)
        if end < 0:
            one.scanned += len(data) // one.encoding.unit * one.encoding.unit
            return None
        size = one.scanned + end + one.encoding.unit
        kept = os.pread(one.file.fileno(), min(size, one.encoding.max_bytes), one.offset)
        return self._lines(one, kept if len(kept) == size else kept + one.encoding.newline, size)

    def _lines(self, one: _Followed, data: bytes, size: int) -> pl.DataFrame:
        """Return the lines of `data`, which stand for the next `size` bytes of the file."""
        if one.base and not one.offset:
            data = data.removeprefix(one.encoding.bom)  # `to_lines` knows that of a file that is read from byte 0
        block = Block(one.encoding.newline + data, one.base + one.offset, size - len(data))
        frame, n = to_lines(block, one.encoding, one.path, one.line + 1, self._tally)
        one.offset, one.line, one.scanned = one.offset + size, one.line + n, 0
        return frame

    def _let_go(self, one: _Followed) -> pl.DataFrame | None:
        """Close a file that was renamed or removed, once nothing has come for a while; its last line may lack its end.

        Its writer may go on writing to it for a moment.
        """
        if self._clock() - one.news_s < GRACE_S:
            return None
        rest = os.pread(one.file.fileno(), READ_BYTES, one.offset)
        frame = self._lines(one, rest[: one.encoding.max_bytes], len(rest)) if rest else None
        one.file.close()
        del self._followed[one.path]
        self._ended[one.path] = (one.base + one.offset, one.line)
        while len(self._ended) > MOST_KNOWN:  # names with a date in them never come back
            gone = next(iter(self._ended))
            del self._ended[gone]
            self._begun.pop(gone, None)
        self._scanned_s = -SCAN_S  # look for its successor at once
        return frame


def _behind_newline(data: bytes, encoding: Encoding) -> int:
    """Return the offset behind the last line end, 0 if there is none."""
    at = data.rfind(encoding.newline)
    while at >= 0 and at % encoding.unit:
        at = data.rfind(encoding.newline, 0, at + encoding.unit - 1)
    return at + encoding.unit if at >= 0 else 0
