"""What an answer must hold, and how large it may be: looked at before anything in it is believed.

A registered site may send what it likes; whatever is not as drawn here is refused by name, and the round goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from oddlog.federated.pooling import GRID
from oddlog.federated.site import Kind
from oddlog.federated.wire import Note

Check = Callable[[Note], bool]
MALFORMED = "an answer that is none"

MOST_JOINING = 1 << 26
"""Bytes of a site's first answer, which holds the untrained network: 16 million weights."""
MOST_PATTERNS = 1 << 24
"""Of its usual windows, sealed."""
SLACK = 1 << 16
"""For facts, and what Flower puts around them."""
PER_SITE = 1 << 12
"""For each other site: keys, boxes and shares of a secure sum."""
MOST_SUMS = 1 << 20
"""Numbers that are summed before learning."""


def most_bytes(kind: Kind, weights: int, sums: int, sites: int) -> int:
    """Return how large an answer may be.

    Parameters
    ----------
    kind : str
        What was asked.
    weights, sums : int
        Of the network, and numbers that are summed before learning.
    sites : int
        Who takes part.

    Examples
    --------
    >>> most_bytes("learn", 28_379, 471, 5)
    313048

    """
    numbers = {"begin": sums, "learn": weights, "calibrate": GRID}.get(kind, 0)
    whole = {"join": MOST_JOINING, "patterns": MOST_PATTERNS}.get(kind, 0)
    return max(whole, 8 * numbers + SLACK + PER_SITE * sites)


def malformed(kind: Kind, note: Note, *, secure: bool) -> str:
    """Return why an answer cannot be used at all, "" if it can."""
    checks: list[Check] = list(_OF.get(kind, ()))
    if kind in _SUMMED:
        checks += _MASKED if secure else _SUMMED[kind]
    try:
        return "" if all(check(note) for check in checks) else MALFORMED
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return MALFORMED


def _is(name: str, kind: type) -> Check:
    return lambda note: type(note.facts[name]) is kind


def _real(value: Any) -> bool:
    """Return whether it is a real number; a word that reads as one is none, nor is infinity."""
    return type(value) in (int, float) and math.isfinite(value)


def _share(value: Any) -> bool:
    return _real(value) and 0 <= value <= 1


def _told(name: str, right: Callable[[Any], bool]) -> Check:
    return lambda note: name not in note.facts or right(note.facts[name])


def _array(name: str, kinds: str) -> Check:
    return lambda note: note.arrays[name].ndim == 1 and note.arrays[name].dtype.kind in kinds


def _network(note: Note) -> bool:
    shapes: Any = note.facts["shapes"]
    size = 0
    for shape in shapes:
        cells = 1
        for one in shape:
            cells *= one if type(one) is int and 0 < one <= MOST_JOINING else 0
        size += cells
    named = len(note.facts["names"]) == len(shapes) and all(type(one) is str for one in note.facts["names"])
    return named and size == len(note.arrays["weights"]) and 0 < note.facts["sums"] <= MOST_SUMS


def _layers(note: Note) -> bool:
    layers: Any = note.facts["layers"]
    return type(layers) is list and all(len(one) == 2 and type(one[0]) is type(one[1]) is str for one in layers)  # noqa: PLR2004


def _bytes_only(note: Note) -> bool:
    return all(one.dtype.kind == "u" and one.dtype.itemsize == 1 and one.ndim == 1 for one in note.arrays.values())


_MASKED: Final[list[Check]] = [_array("masked", "u"), _array("commitment", "u")]
_SUMMED: Final[dict[Kind, list[Check]]] = {
    "begin": [_array("sums", "f")],
    "learn": [
        _is("round", int),
        _told("utility", _share),
        _told("loss", _real),
        lambda note: note.arrays["update"].ndim == 1,
    ],
    "calibrate": [_array("count", "f")],
}
_OF: Final[dict[Kind, list[Check]]] = {
    "join": [
        *(_is(name, str) for name in ("site", "key")),
        *(_is(name, int) for name in ("protocol", "sums")),
        _array("weights", "f"),
        lambda note: note.arrays["weights"].dtype.itemsize == 4,  # noqa: PLR2004 - float32
        _network,
        _layers,
    ],
    "advertise": [_bytes_only, lambda note: set(note.arrays) == {"seal", "mask", "signature"}],
    "share": [_bytes_only],
    "agree": [_bytes_only, lambda note: set(note.arrays) == {"signature"}],
    "unmask": [_bytes_only, lambda note: set(note.facts["kinds"]) == set(note.arrays)],
    "patterns": [_bytes_only, lambda note: "box" in note.arrays],
    "finish": [
        _is("kept", str),
        lambda note: all(map(_share, note.facts.get("utility", {}).values())),
    ],
}
