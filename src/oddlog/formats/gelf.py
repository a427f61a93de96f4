"""Graylog's extended log format 1.0 and 1.1, one object a line (GELF Payload Specification).

::

    {"version":"1.1","host":"web-1","short_message":"cart paid","timestamp":1732097472.345,"level":6,"_user_id":42}
"""

from __future__ import annotations

import polars as pl

from oddlog.formats.json_lines import JsonLines, first_of
from oddlog.formats.layout import chosen

_NAMES = {"short_message": "message", "facility": "logger"}
_VERSIONS = ["1.0", "1.1"]


class Gelf(JsonLines):
    """Levels are syslog's; an additional field loses its underscore. A missing level stays unknown."""

    name = "gelf"
    marks = ('"short_message"',)

    def named(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Return the fields under their names without the underscore, the version left out."""
        of_kind = first_of(frame, "version").is_in(_VERSIONS) & first_of(frame, "short_message").is_not_null()
        plain = {_NAMES.get(key, key) for key in frame.columns if not key.startswith("_")}
        columns: dict[str, pl.Expr] = {}
        for key in sorted(frame.columns, key=lambda key: key in _NAMES):  # fields of the specification win
            bare = key.removeprefix("_")
            # what the sender calls like a field of the specification keeps its underscore
            name = key if key.startswith("_") and (bare in plain or bare in columns) else _NAMES.get(key, bare)
            columns[name] = pl.col(key)
        columns.pop("version", None)
        kind = {"kind": of_kind.fill_null(value=False)}
        return chosen(frame, columns), chosen(frame, kind).to_series()
