"""Puts lines in order and on disk; the folder appears whole or not at all."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self, cast

import numpy as np
import polars as pl

from oddlog.errors import InputError
from oddlog.types import I64

ZIPPED = frozenset({"gateway"})
"""The services whose log is compressed, as rotated logs are."""


def file_name(service: str) -> str:
    """Return the name of a service's log."""
    return f"{service}.log.gz" if service in ZIPPED else f"{service}.log"


@dataclass
class Lines:
    """Lines of one service that wait to be put in order."""

    time_us: list[I64] = field(default_factory=list)
    text: list[pl.Series] = field(default_factory=list)
    mark: list[I64] = field(default_factory=list)  # 0 usual, else what it belongs to

    def add(self, time_us: I64, text: pl.Series | Iterable[str], mark: int | I64 = 0) -> None:
        """Append lines [e], one mark for all of them or one each."""
        self.time_us.append(time_us)
        self.text.append(text if isinstance(text, pl.Series) else pl.Series("text", list(text), pl.String))
        self.mark.append(np.full(len(time_us), mark, np.int64) if isinstance(mark, int) else mark)


Pages = dict[str, Lines]


def blank_pages(services: Iterable[str]) -> Pages:
    """Return an empty page per service."""
    return {service: Lines() for service in services}


@contextmanager
def written_aside(folder: Path) -> Iterator[Path]:
    """Give a new folder beside `folder` that takes its name when everything went well.

    Raises
    ------
    InputError
        `folder` holds something already, is a file, or cannot be made.

    """
    folder = folder.resolve()
    aside = folder.parent / f".{folder.name}.partial-{os.getpid()}"
    try:
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise InputError(f"{folder} is not an empty folder.", "Name a new one, or delete it first.")
        aside.mkdir(parents=True)
        yield aside
        if folder.exists():
            folder.rmdir()  # empty, see above; not every system renames onto a folder
        aside.rename(folder)
    except OSError as error:
        raise InputError(f"Cannot write {folder}: {error.strerror}.", "Name another folder.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


class LogFiles:
    """The log files of one period, written a stretch at a time.

    Lines that fall behind the end of a stretch (a request goes on a little) wait for the next one, so that
    each file is in the order of time while only one stretch is held.

    Parameters
    ----------
    folder : Path
        Made if absent.
    services : tuple of str
        One file each.

    """

    def __init__(self, folder: Path, services: tuple[str, ...]) -> None:
        folder.mkdir()
        self._stack = ExitStack()
        self._files = {service: self._open(folder / file_name(service)) for service in services}
        self.lines = dict.fromkeys(services, 0)
        self._waiting = blank_pages(services)

    def _open(self, path: Path) -> IO[bytes]:
        file = self._stack.enter_context(path.open("wb"))
        if path.suffix != ".gz":
            return file
        # no name and no time in the header: the same lines give the same file
        zipped = gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=3, mtime=0)
        return cast("IO[bytes]", self._stack.enter_context(zipped))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, pages: Pages, until_us: int | None) -> Iterator[tuple[str, I64, I64]]:
        """Write what is older than `until_us` (None: everything).

        Yields
        ------
        service, line, mark
            The marked lines of each service: 1-based numbers and marks [x].

        """
        for service, new in pages.items():
            old = self._waiting[service]
            time_us = np.concatenate([np.empty(0, np.int64), *old.time_us, *new.time_us])
            mark = np.concatenate([np.empty(0, np.int64), *old.mark, *new.mark])
            text = pl.concat([pl.Series("text", [], pl.String), *(one.alias("text") for one in (*old.text, *new.text))])
            order = np.argsort(time_us, kind="stable")
            n = len(order) if until_us is None else int(np.searchsorted(time_us[order], until_us))
            self._files[service].write("".join([f"{line}\n" for line in text.gather(order[:n]).to_list()]).encode())
            later = order[n:]
            self._waiting[service] = Lines([time_us[later]], [text.gather(later)], [mark[later]])
            marked = np.flatnonzero(mark[order[:n]])
            if len(marked):
                yield service, marked + self.lines[service] + 1, mark[order[marked]]
            self.lines[service] += n
