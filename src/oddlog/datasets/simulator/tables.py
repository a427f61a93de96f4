"""Label files: tables that are written as the logs are, and small JSON files."""

from __future__ import annotations

import csv
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np

from oddlog.types import I64


class Tables:
    """CSV files of a folder, open until the end.

    Parameters
    ----------
    folder : Path
        Exists.

    """

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        self._folder = folder

    def table(self, name: str, *columns: str) -> Any:
        """Return a writer of rows below `columns`."""
        file = self._stack.enter_context((self._folder / name).open("w", encoding="utf-8", newline=""))
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        return table

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def write_json(path: Path, value: Any) -> None:
    """Write `value` for people and machines."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def times(time_us: I64) -> list[str]:
    """Return ISO 8601 in UTC with microseconds [n]."""
    text: list[str] = np.datetime_as_string(time_us.astype("datetime64[us]"), unit="us", timezone="UTC").tolist()
    return text


def iso(time_us: int) -> str:
    """Return ISO 8601 in UTC, as in the logs."""
    return times(np.array([time_us]))[0]
