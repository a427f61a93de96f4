"""The sets that are known by name, and how the files of a record become one."""

from __future__ import annotations

import os
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from oddlog.datasets import alerts, bgl_stream, hadoop, hdfs, nova, openstack, simulated, systems, trainticket
from oddlog.datasets.fetching import Record, Say, Wait, fetch
from oddlog.datasets.folders import ABOUT, About, LogSet, read_set, write_about
from oddlog.errors import ConfigError, InputError, did_you_mean

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
        What its raw files lie in, below a folder of data; empty if it needs none.
    record : Record or None
        The public record that it is fetched from.

    """

    about: About
    write: Write
    folder: str = ""
    record: Record | None = None


def _loghub(name: str, md5: str, size: int = 0) -> Record:
    """Return a file of loghub's record; checksums are those that Zenodo shows for it."""
    url = f"https://zenodo.org/records/8196385/files/{name}?download=1"
    return Record(url, name, md5, size, "CC BY 4.0; cite Zhu et al., ISSRE 2023")


KNOWN = {
    one.about.name: one
    for one in (
        Known(hdfs.ABOUT, hdfs.write, "hdfs", _loghub("HDFS_v1.zip", "76a24b4d9a6164d543fb275f89773260", 186_645_559)),
        Known(alerts.BGL, alerts.write_bgl, "bgl", _loghub("BGL.zip", "4452953c470f2d95fcb32d5f6e733f7a", 57_489_019)),
        Known(bgl_stream.ABOUT, bgl_stream.write, "bgl"),
        Known(alerts.BGL_SAMPLES, alerts.write_samples, "bgl"),
        Known(
            alerts.THUNDERBIRD,
            alerts.write_thunderbird,
            "thunderbird",
            _loghub("Thunderbird.tar.gz", "0891b048df2919dc78c99c4428686b44", 2_016_100_298),
        ),
        Known(
            hadoop.ABOUT, hadoop.write, "hadoop", _loghub("Hadoop.zip", "34e28a9943704fd54933e2b455829fcc", 3_416_419)
        ),
        Known(
            openstack.ABOUT,
            openstack.write,
            "openstack",
            _loghub("OpenStack.tar.gz", "66bd42c07837a094d9b0ea2d036b5713"),
        ),
        Known(nova.ABOUT, nova.write, "openstack_nova"),
        Known(trainticket.ABOUT, trainticket.write, "trainticket"),
        Known(simulated.SHOP, simulated.write_shop),
        Known(simulated.DATACENTRE, simulated.write_datacentre),
        Known(systems.ABOUT, systems.write),
    )
}


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


def fetch_set(name: str, to: Path | str, *, say: Say | None = None, wait: Wait = time.sleep) -> Path:
    """Fetch the files of a set from its public record and unpack them below `to`; return their folder.

    Raises
    ------
    ConfigError
        If the set has no record that could be fetched.
    InputError
        If there is no such set, or its record cannot be fetched.

    """
    one = known(name)
    if one.record is None:
        has = ", ".join(other for other, each in KNOWN.items() if each.record)
        how = "it is made, not fetched" if not one.folder else f"its origin is {one.about.cite}"
        raise ConfigError(f"The set '{name}' has no record to fetch: {how}.", f"These have one: {has}.")
    packed = fetch(one.record, Path(to), say=say, wait=wait)
    folder = Path(to) / one.folder
    aside = folder.with_name(f".{one.folder}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        unpack(packed, aside)
        shutil.rmtree(folder, ignore_errors=True)
        aside.replace(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def unpack(packed: Path, to: Path) -> None:
    """Unpack an archive; nothing is written outside of `to`.

    Raises
    ------
    InputError
        If it is damaged.

    """
    to.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(packed):
            with zipfile.ZipFile(packed) as archive:
                for name in archive.namelist():
                    archive.extract(name, to)  # makes names harmless that would leave the folder
        else:
            with tarfile.open(packed) as archive:
                for member in archive:
                    archive.extract(member, to, filter="data")  # refuses what would leave the folder
    except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise InputError(f"{packed} cannot be unpacked: {error}.", "Remove it and fetch it again.") from error


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
    if (folder / ABOUT).exists():
        return read_set(folder)
    raw = next((path for path in (data / one.folder, data / name, data) if path.is_dir()), data)
    if one.folder and not raw.is_dir():
        fetchable = f"Type: oddlog datasets fetch {name} --to {data}" if one.record else "Say where they are: --data"
        raise InputError(f"There is no folder {data} with the raw files of '{name}'.", fetchable)
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
