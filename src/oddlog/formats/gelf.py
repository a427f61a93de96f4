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
        # what the sender calls like a field of the specification keeps its underscore
        reserved = {_NAMES.get(key, key) for key in frame.columns if not key.startswith("_")}
        names: dict[str, str] = {}
        for key in frame.columns:
            bare = _NAMES.get(key, key.removeprefix("_"))
            free = not key.startswith("_") or (bare not in reserved and bare not in frame.columns)
            names[key] = bare if free else key
        kind = chosen(frame, {"kind": of_kind.fill_null(value=False)}).to_series()
        return frame.rename(names).drop("version", strict=False), kind
