"""What a person names, files, globs and folders, as the list of files to read."""

from __future__ import annotations

import difflib
import glob
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from oddlog.errors import InputError
from oddlog.sources.streams import HEAD_BYTES, BrokenStreamError, pieces, why_not_text
from oddlog.types import Tally

STDIN = "-"

_NO_LOGS = frozenset(
    f".{ending}"
    for ending in (
        *("c", "cfg", "conf", "cpp", "css", "go", "h", "html", "ini", "ipynb", "java", "js", "lock", "md", "onnx"),
        *("parquet", "pid", "py", "rs", "rst", "safetensors", "sh", "sha256", "svg", "toml", "ts", "yaml", "yml"),
    )
)
"""Endings of text and model files that stand beside logs; what is binary is known by its bytes."""


def expand(paths: Sequence[str | Path], tally: Tally) -> list[str]:
    """Return the files that `paths` name, each once: files as they stand, globs and folders sorted.

    In folders and globs what is no log is left out and counted by reason; a file named outright is always
    returned. Links are followed to files, never to folders.

    Parameters
    ----------
    paths : sequence of str or Path
        Files, folders (read recursively), globs (``**`` too), ``-`` for standard input.
    tally : Tally
        Takes what was left out, with an example.

    Raises
    ------
    InputError
        A path does not exist, a glob matches nothing, or a folder holds no logs.

    """
    found: dict[tuple[int, int] | str, str] = {}
    for path in map(str, paths):
        for file in _files_of(path, tally):
            if found.setdefault(_identity(file), file) != file:
                tally.add("file left out: the same under another name", example=file)
    return list(found.values())


def _files_of(path: str, tally: Tally) -> list[str]:
    if path == STDIN:
        return [path]
    try:
        if Path(path).is_dir():
            return _logs_among(_walk(path, tally), f"The folder {path}", tally)
        there = Path(path).exists()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{path!r} cannot be looked at: {error}.", "Check the path and who may read it.") from error
    if there:
        return [path]
    if glob.has_magic(path):
        matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        if matches:
            files = (f for match in matches for f in (_walk(match, tally) if Path(match).is_dir() else [match]))
            return _logs_among(files, f"The pattern {path}", tally)
    raise _not_there(path)


def _identity(file: str) -> tuple[int, int] | str:
    """Return what two names of one file have in common."""
    try:
        status = Path(file).stat()
    except OSError:
        return file
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else file


def _walk(folder: str, tally: Tally) -> Iterator[str]:
    def unreadable(error: OSError) -> None:
        tally.add("folder left out: cannot be read", example=str(error.filename))

    for here, folders, files in os.walk(folder, onerror=unreadable):
        if "manifest.json" in files and "model.json" in files:
            tally.add("folder left out: an oddlog model", example=here)
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (str(Path(here, name)) for name in sorted(files))


def _logs_among(files: Iterator[str], asked: str, tally: Tally) -> list[str]:
    """Return the files that hold logs; raise if there are none."""
    logs, others = [], Counter[str]()
    for file in files:
        reason = why_no_log(file)
        if reason:
            others[reason] += 1
            tally.add(f"file left out: {reason}", example=file)
        else:
            logs.append(file)
    if not logs:
        there = ", ".join(f"{n} {reason}" for reason, n in sorted(others.items())) or "no file"
        raise InputError(f"{asked} holds no logs; there is: {there}.", "Name the files themselves to read them anyway.")
    return logs


def why_no_log(file: str) -> str:
    """Return why a file found in a folder is not read as a log, empty if it is."""
    path = Path(file)
    if path.name.startswith("."):
        return "hidden"
    if path.suffix.lower() in _NO_LOGS:
        return f"no log by its name ({path.suffix.lower()})"
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return "no regular file"
        if not status.st_size:
            return "empty"
        head = _head(path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    found = why_not_text(head)
    return found[0] if found else ""


def _head(path: Path) -> bytes:
    head = b""
    with path.open("rb") as file:
        try:
            for piece in pieces(file, HEAD_BYTES):
                head += piece
                if len(head) >= HEAD_BYTES:
                    break
        except BrokenStreamError:
            pass  # told when the file is read
    return head[:HEAD_BYTES]


def _not_there(path: str) -> InputError:
    """Return the error for a path that does not exist, with what stands where it should be."""
    folder, name = Path(path).parent, Path(path).name
    look = f"Look with: ls {folder}"
    if glob.has_magic(path):
        return InputError(f"The pattern {path} matches no file.", look)
    if not folder.is_dir():
        return InputError(f"There is no file or folder {path}; there is no folder {folder} either.", "Check the path.")
    try:
        known = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        known = []
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    guess = f"Did you mean {' or '.join(str(folder / n) for n in near)}?" if near else look
    return InputError(f"There is no file or folder {path}; {folder} has {len(known)} entries.", guess)
