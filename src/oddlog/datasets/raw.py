"""Files of a public record, plain or packed, whichever way they came."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from oddlog.errors import InputError

_OPEN: dict[str, type[gzip.GzipFile | lzma.LZMAFile | bz2.BZ2File]] = {
    ".gz": gzip.GzipFile,
    ".xz": lzma.LZMAFile,
    ".bz2": bz2.BZ2File,
}


def find(folder: Path, names: Sequence[str]) -> Path:
    """Return the first of these files that is there, in `folder` or anywhere below it.

    Raises
    ------
    InputError
        If none is.

    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    for name in names:
        below = sorted(folder.rglob(Path(name).name)) if folder.is_dir() else []
        if below:
            return below[0]
    raise InputError(
        f"{folder} holds none of: {', '.join(names)}.", "Fetch the set (oddlog datasets fetch), or name its folder."
    )


@contextmanager
def open_raw(path: Path) -> Iterator[BinaryIO]:
    """Open a file, unpacked."""
    opener = _OPEN.get(path.suffix)
    with path.open("rb") if opener is None else cast("BinaryIO", opener(path, "rb")) as file:
        yield file
