"""Which sources can be read together: those whose formats are the same, and look at each line by itself."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from oddlog.types import Format

_LOOK_AROUND = frozenset({"docker", "zeek", "csv", "tsv"})
"""What a line means to these depends on lines before it: pieces of a cut line, headers."""
_OURS = __name__.rpartition(".")[0]


def likeness(found: Format) -> Hashable:
    """Return a value that is equal for formats that read any line alike, whatever stands around it.

    Formats of others, of which nothing is known, are only like themselves.

    >>> from oddlog.formats import by_name
    >>> likeness(by_name("hdfs")) == likeness(by_name("hdfs")), likeness(by_name("hdfs")) == likeness(by_name("syslog"))
    (True, False)
    """
    ours = type(found).__module__.startswith(f"{_OURS}.")
    if not ours or found.name in _LOOK_AROUND:
        return id(found)
    return _value(found)


def _value(one: Any) -> Hashable:
    if one is None or isinstance(one, (str, int, float, bool, re.Pattern)):
        return (type(one), one)
    if isinstance(one, (list, tuple)):
        return (type(one), *map(_value, one))
    if isinstance(one, Mapping):
        return (type(one), *((_value(key), _value(value)) for key, value in one.items()))
    if is_dataclass(one):
        return (type(one), *(_value(getattr(one, field.name)) for field in fields(one)))
    if type(one).__module__.startswith(f"{_OURS}.") and not callable(one):
        return (type(one), _value(vars(one)))
    return id(one)
