"""The sets that are known by name, and how the files of a record become one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from oddlog.datasets import hdfs
from oddlog.datasets.folders import About, LogSet, read_set, write_about
from oddlog.errors import InputError, did_you_mean

Write = Callable[[Path, Path], None]


@dataclass(frozen=True)
class Known:
    """A set that is known by name.

    Attributes
    ----------
    about : About
        What it is.
    write : callable
        Writes logs and labels from a folder of raw files into another.
    folder : str
        What its raw files lie in, below a folder of data.

    """

    about: About
    write: Write
    folder: str


KNOWN = {one.about.name: one for one in (Known(hdfs.ABOUT, hdfs.write, "hdfs"),)}


def known(name: str) -> Known:
    """Return the set of that name.

    Raises
    ------
    InputError
        If there is none.

    """
    if name not in KNOWN:
        raise InputError(f"There is no set '{name}', and no folder of that name.", did_you_mean(name, KNOWN))
    return KNOWN[name]


def prepare(name: str, data: Path | str, to: Path | str) -> LogSet:
    """Write a set into the folder `to`/`name`, unless it is there, and return it.

    Parameters
    ----------
    name : str
        See `KNOWN`.
    data : path
        A folder of raw files: those of the set, or one that holds them in a folder of their own.
    to : path
        Where prepared sets lie. What is half-written is never taken for whole.

    Raises
    ------
    InputError
        If the raw files are not there.

    """
    one, data, folder = known(name), Path(data), Path(to) / name
    if (folder / "set.json").exists():
        return read_set(folder)
    raw = next((path for path in (data / one.folder, data / name, data) if path.is_dir()), None)
    if raw is None:
        raise InputError(f"There is no folder {data}.", f"Type: oddlog datasets fetch {name} --to {data}")
    aside = folder.with_name(f".{name}.{os.getpid()}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        one.write(raw, aside)
        write_about(aside, one.about)
        shutil.rmtree(folder, ignore_errors=True)
        aside.replace(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return read_set(folder)


def find_set(name: str, data: Path | str, to: Path | str) -> LogSet:
    """Return a set by its name, or by the folder that it lies in.

    Raises
    ------
    InputError
        If it is neither.

    """
    if name not in KNOWN and Path(name).is_dir():
        return read_set(name)
    return prepare(name, data, to)
