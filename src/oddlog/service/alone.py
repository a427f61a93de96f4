"""One service for one folder: a second would judge the same lines again, and store over what the first has found."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import BinaryIO

from oddlog.errors import ConfigError

NAME = "serving"
_NO_LOCKS = (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS)


class Alone:
    """Holds a folder until it is closed, or its process ends in whatever way.

    Parameters
    ----------
    folder : Path
        What a service keeps; it is made if it is not there.

    Raises
    ------
    ConfigError
        If another process holds it, or it cannot be made.

    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = (folder / NAME).open("a+b")
        except OSError as error:
            raise ConfigError(
                f"{folder} cannot be written to: {error.strerror}.", "Give another folder: --data FOLDER."
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            process = self._file.read(20).decode("ascii", "replace").strip()
            self._file.close()
            raise ConfigError(
                f"{folder} is in use by another service{f', process {process}' if process else ''}.",
                "End it first, or give another folder: --data FOLDER.",
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:  # where the file system has none, go on without
                raise
        self._file.truncate(0)
        self._file.write(b"%d\n" % os.getpid())
        self._file.flush()

    def close(self) -> None:
        """Let another one have it."""
        self._file.truncate(0)
        self._file.close()
