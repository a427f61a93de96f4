"""Records beside a model, one JSON object a line: appended to under a lock, replaced by a rename.

A model never changes. What people say afterwards lies beside it, under the model's name::

    app.model/                    the model
    app.model.answers.jsonl       usual, anomalous, mute
    app.model.marks.jsonl         deployments
    app.model.rules.jsonl         rules, maintenance windows and a budget that were set while a service ran
    app.model.incidents.jsonl     the last incidents that were shown, so that their ids mean something

Killed at any moment, a file holds what it held, or that and the new record; at worst a last line breaks off, which
is told and passed over.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from oddlog.errors import ModelError

Record = dict[str, Any]
Change = Callable[[list[Record]], list[Record]]


def beside(model: str | Path, what: str) -> Path:
    """Return where the records of a kind lie for the model in a folder.

    >>> str(beside("/srv/app.model/", "answers"))
    '/srv/app.model.answers.jsonl'
    """
    # A name is wanted also for ".": but a symbolic link stays one, so that the answers of "current" go on
    # holding when it is turned to the next model.
    folder = Path(os.path.normpath(Path(model).absolute()))
    return folder.with_name(f"{folder.name}.{what}.jsonl")


def written(path: Path) -> tuple[int, int]:
    """Return what changes whenever a file is written: when it was (ns), and its size (bytes); zeros for no file."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


class Log:
    """One file of records.

    Parameters
    ----------
    path : Path
        Where it lies; it need not exist yet.

    Attributes
    ----------
    broken : int
        Lines that could not be read the last time, and were passed over.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.broken = 0

    def read(self) -> list[Record]:
        """Return the records, the oldest first.

        Raises
        ------
        ModelError
            If the file is there and cannot be read.

        """
        try:
            with self.path.open("rb") as file:
                _lock(file, fcntl.LOCK_SH)
                return self._records(file.read())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ModelError(f"{self.path} cannot be read: {error.strerror}.", "Mend its permissions.") from error

    def append(self, change: Change) -> list[Record]:
        """Append what `change` makes of the records that are there; nobody writes in between. Return the new ones.

        Raises
        ------
        ModelError
            If the file cannot be written.

        """
        with self._locked() as file:
            content = file.read()
            new = change(self._records(content))
            # A line that broke off is ended first, so that it spoils none but itself.
            mend = b"\n" if content and not content.endswith(b"\n") else b""
            if new:
                file.write(mend + b"".join(map(_line, new)))
                file.flush()
                os.fsync(file.fileno())
            return new

    def replace(self, change: Change) -> None:
        """Write the records anew as `change` makes them of those that are there: aside, then renamed.

        Raises
        ------
        ModelError
            If they cannot be written; the file is then as it was.

        """
        with self._locked() as file:
            content = b"".join(map(_line, change(self._records(file.read()))))
            for left in self.path.parent.glob(f".{self.path.name}.*.part"):
                left.unlink()  # of a process that was killed: we hold the lock
            aside = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
            try:
                with aside.open("wb") as new:
                    new.write(content)
                    new.flush()
                    os.fsync(new.fileno())
                aside.replace(self.path)
            finally:
                aside.unlink(missing_ok=True)
            _sync_folder(self.path.parent)

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """Yield the file, read from its beginning and appended to, while nobody else may write it."""
        try:
            while True:
                with self.path.open("a+b") as file:
                    _lock(file, fcntl.LOCK_EX)
                    if not self._is(file):
                        continue  # it was replaced while we waited for the lock
                    file.seek(0)
                    try:
                        yield file
                    finally:
                        if self._is(file) and not os.fstat(file.fileno()).st_size:
                            self.path.unlink()  # nothing was written: leave nothing
                    return
        except OSError as error:
            raise ModelError(
                f"{self.path} cannot be written: {error.strerror or error}.",
                f"Free some space, or see who may write in {self.path.parent}.",
            ) from error

    def _is(self, file: BinaryIO) -> bool:
        """Return whether an open file is still the one at the path."""
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False

    def _records(self, content: bytes) -> list[Record]:
        records, self.broken = [], 0
        for line in content.split(b"\n"):
            if not line.strip():
                continue
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                record = None
            if isinstance(record, dict):
                records.append(record)
            else:
                self.broken += 1
        return records


def _line(record: Record) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_UTC_Z | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


def _lock(file: BinaryIO, kind: int) -> None:
    """Wait for the lock; where the file system has none, go on without."""
    try:
        fcntl.flock(file, kind)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


_NO_LOCKS = (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS)


def _sync_folder(folder: Path) -> None:
    """Make a rename last."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
