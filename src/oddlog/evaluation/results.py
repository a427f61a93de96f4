"""What a bench leaves on disk, cell by cell, so that one that was ended goes on where it was.

::

    bench/
      sets/NAME/                    prepared sets
      catalogues/NAME-HASH/         their lines with times, cases and labels
      cells/NAME.json, .parquet     a finished cell: figures, costs, versions; its windows with verdicts and labels
      results.json, .parquet        one row a cell
      report.md, report.html
"""

from __future__ import annotations

import hashlib
import math
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from oddlog.evaluation.cells import Cell

PACKAGES = ("oddlog", "polars", "numpy", "torch", "scikit-learn", "onnxruntime")
NAMES = ("set", "protocol", "detector", "seed", "recurring")


def versions() -> dict[str, str]:
    """Return the versions that results hang on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ""
    return found


def machine() -> str:
    """Return what was measured on."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return f"{found[1] if found else platform.processor()}, {platform.system()} {platform.machine()}"


def name_of(cell: Cell, of: str) -> str:
    """Return the name of a cell's files: readable, and another for whatever else is asked; `of` says which data."""
    told = orjson.dumps([cell.told(), of], option=orjson.OPT_SORT_KEYS)
    words = "-".join(str(word) for word in (Path(cell.set).name, cell.protocol, cell.detector, cell.seed))
    return f"{re.sub(r'[^A-Za-z0-9.+-]+', '_', words)[:80]}-{hashlib.blake2b(told, digest_size=5).hexdigest()}"


@dataclass(frozen=True)
class Store:
    """The folder of a bench."""

    folder: Path

    @property
    def cells(self) -> Path:
        """Where finished cells lie."""
        return self.folder / "cells"

    def result(self, name: str) -> dict[str, Any] | None:
        """Return the result of a cell, None if there is none that can be read."""
        try:
            found: dict[str, Any] = orjson.loads((self.cells / f"{name}.json").read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return None
        return found

    def is_finished(self, name: str) -> bool:
        """Return whether a cell need not be run again; one that failed is tried again."""
        found = self.result(name)
        return found is not None and bool(found.get("ok"))

    def write(self, name: str, result: Mapping[str, Any], judged: pl.DataFrame | None = None) -> None:
        """Write a result; its figures come last, so that a cell with them is whole."""
        self.cells.mkdir(parents=True, exist_ok=True)
        if judged is not None:
            _written(self.cells / f"{name}.parquet", judged)
        content = orjson.dumps(_plain(result), option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)
        aside = self.cells / f".{name}.json.part"
        aside.write_bytes(content)
        aside.replace(self.cells / f"{name}.json")

    def judged(self, name: str) -> pl.DataFrame:
        """Return the windows of a finished cell, `cells.JUDGED`."""
        return pl.read_parquet(self.cells / f"{name}.parquet")

    def results(self) -> list[dict[str, Any]]:
        """Return all results that can be read, with their names and this folder, in order of what was asked.

        Of cells that ask the same, of an older state of the logs say, the one that was run last counts.
        """
        return last_of([self])

    def summarise(self) -> pl.DataFrame:
        """Write `results.json` and `results.parquet`; return a row a cell."""
        every = [{key: value for key, value in one.items() if key not in ASIDE} for one in self.results()]
        (self.folder / "results.json").write_bytes(orjson.dumps(every, option=orjson.OPT_INDENT_2))
        rows = [
            {name: one["cell"][name] for name in NAMES}
            | {"ok": one["ok"], "error": one.get("error", "")}
            | {name: _number(value) for part in ("figures", "cost") for name, value in one.get(part, {}).items()}
            for one in every
        ]
        frame = pl.DataFrame(rows, infer_schema_length=None)
        if len(frame.columns):
            _written(self.folder / "results.parquet", frame)
        return frame


ASIDE = ("folder", "mtime_ns")
"""What a result is given while it is read, and is not written."""


def last_of(stores: Sequence[Store]) -> list[dict[str, Any]]:
    """Return the results of several folders, in order of what was asked.

    Of those that ask the same, the one with most answers counts, then the one that was run last.
    """
    last: dict[bytes, dict[str, Any]] = {}
    for store in stores:
        for path in store.cells.glob("*.json"):
            result = None if path.name.startswith(".") else store.result(path.stem)
            if result is None:
                continue
            told = {"name": path.stem, "folder": str(store.folder), "mtime_ns": path.stat().st_mtime_ns}
            result |= told
            cell = {key: value for key, value in result["cell"].items() if key != "answers"}
            asked = orjson.dumps(cell, option=orjson.OPT_SORT_KEYS)
            if asked not in last or _weight(last[asked]) <= _weight(result):
                last[asked] = result
    return sorted(last.values(), key=lambda one: [str(one["cell"][name]).zfill(4) for name in NAMES])


def _weight(one: dict[str, Any]) -> tuple[int, int, str]:
    return int(one["cell"].get("answers", 0)), one["mtime_ns"], one["name"]


def _written(path: Path, frame: pl.DataFrame) -> None:
    aside = path.with_name(f".{path.name}.part")
    frame.write_parquet(aside, compression="zstd")
    aside.replace(path)


def _number(value: Any) -> float | None:
    return None if value is None or isinstance(value, (str, list, dict)) else float(value)


def _plain(value: Any) -> Any:
    """Return what JSON can hold: what is no number is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
