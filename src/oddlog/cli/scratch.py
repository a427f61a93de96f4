"""The folder of a command's temporary files: it goes with the process; what a killed one left goes at the next start.

A folder is held by a lock on it (flock), which the system lets go of however its process ends: a process number says
less, since it is given again, and to other containers with the same /tmp.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "oddlog-run-"
_held: list[int] = []  # descriptors of folders that are ours, open as long as the process lives


def make() -> str:
    """Make a folder that goes with this process, remove those of processes that are no more, and return it."""
    parent = Path(tempfile.gettempdir())
    for left in parent.glob(f"{PREFIX}*"):
        _remove_left(left)
    while True:
        folder = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
        if _hold(folder):
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            return folder


def _hold(folder: str) -> bool:
    """Return whether it is ours now; not, if another has taken it for left before it was held."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with suppress(OSError):  # a file system without locks: nobody can take it then
        fcntl.flock(held, fcntl.LOCK_EX)
    if _is_at(held, folder):
        _held.append(held)
        return True
    os.close(held)
    return False


def _remove_left(folder: Path) -> None:
    """Remove a folder of this user that no process holds."""
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if os.fstat(held).st_uid == os.getuid():
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        pass  # somebody holds it, or nobody can
    finally:
        os.close(held)


def _is_at(held: int, folder: str) -> bool:
    try:
        there = Path(folder).stat()
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(held))
