"""Which sources can be read together: those whose formats are the same, and look at each line by itself."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any

from oddlog.types import Format

_HEADED = frozenset({"zeek", "csv", "tsv"})
"""What a line means to these depends on the header of its source."""
_LOOK_AROUND = _HEADED | {"docker"}
"""… or on the line before it: pieces of a cut line."""
_OURS = __name__.rpartition(".")[0]


def likeness(found: Format) -> Hashable:
    """Return a value that is equal for formats that read any line alike, whatever stands around it.

    Formats of others, of which nothing is known, are only like themselves.

    >>> from oddlog.formats import by_name
    >>> likeness(by_name("hdfs")) == likeness(by_name("hdfs")), likeness(by_name("hdfs")) == likeness(by_name("syslog"))
    (True, False)
    """
    return value_of(found) if reads_alone(found) else id(found)


def reads_alone(found: Format) -> bool:
    """Return whether a format is ours and reads each line by itself, so that it may read those of other sources."""
    return type(found).__module__.startswith(f"{_OURS}.") and found.name not in _LOOK_AROUND


def own_for(found: Format) -> Format | None:
    """Return a format for one more source that is written alike; None where each needs a search of its own."""
    if reads_alone(found):
        return found
    return copy(found) if type(found).__module__.startswith(f"{_OURS}.") and found.name not in _HEADED else None


def value_of(one: Any) -> Hashable:
    """Return a value that is equal for formats, or parts of them, that are set up alike."""
    if one is None or isinstance(one, (str, int, float, bool, re.Pattern)):
        return (type(one), one)
    if isinstance(one, (list, tuple)):
        return (type(one), *map(value_of, one))
    if isinstance(one, Mapping):
        return (type(one), *((value_of(key), value_of(value)) for key, value in one.items()))
    if is_dataclass(one):
        return (type(one), *(value_of(getattr(one, field.name)) for field in fields(one)))
    if type(one).__module__.startswith(f"{_OURS}.") and not callable(one):
        return (type(one), value_of(vars(one)))
    return id(one)
