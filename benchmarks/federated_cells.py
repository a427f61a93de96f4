"""Results of the benchmarks of federations, one file a draw and way, so that what was run is not run again.

A cell is what one way made of one draw: figures of each site, bytes, seconds. `federated_tables.py` makes tables of
them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Cell = dict[str, Any]


def path_of(folder: Path, facts: Mapping[str, Any]) -> Path:
    """Return where the cell of these facts is kept.

    >>> path_of(Path("cells"), {"kind": "way", "set": "hdfs", "way": "DP, epsilon 8", "seed": 3}).name
    'way-hdfs-dp-epsilon-8-3.json'
    """
    words = (re.sub(r"[^a-z0-9.+]+", "-", str(value).lower()).strip("-") for value in facts.values())
    return folder / ("-".join(words) + ".json")


def found_or_made(folder: Path | None, facts: Mapping[str, Any], make: Callable[[], Mapping[str, Any]]) -> Cell:
    """Return the cell of these facts: as it is kept, or made and then kept; without a folder always made."""
    if folder is None:
        return {**facts, **make()}
    path = path_of(folder, facts)
    if path.is_file():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    cell = {**facts, **make()}
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(cell) + "\n", encoding="utf-8")
    return cell


def read(folder: Path) -> list[Cell]:
    """Return all cells of a folder."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
