"""The systemd journal as ``journalctl -o json`` writes it (systemd.journal-fields(7)).

::

    {"__REALTIME_TIMESTAMP":"1732097472345678","PRIORITY":"6","SYSLOG_IDENTIFIER":"sshd","_PID":"17","MESSAGE":"…", …}
"""

from __future__ import annotations

import re

import polars as pl

from oddlog.formats.json_lines import JsonLines, first_of
from oddlog.formats.layout import chosen

# Fields of the journal's own making that say nothing of what happened; all that begin with an underscore go, too.
_PASSED_OVER = re.compile(
    r"^(?:_.*|CODE_\w+|SYSLOG_\w+|TID|THREAD_ID|INVOCATION_ID|USER_INVOCATION_ID|MESSAGE_ID|MESSAGE|PRIORITY|UNIT)$"
)
_LISTED = r'"MESSAGE" ?: ?\[([0-9, ]*)\]'
_BYTES = re.compile(r"\d+")


def _text(values: pl.Series) -> pl.Series:
    """Return messages as text: one that is not UTF-8, or holds control characters, is written as a list of bytes."""
    listed = values.str.contains(r"^\[[0-9]{1,3}(?:, ?[0-9]{1,3})*\]$").fill_null(value=False)
    if not listed.any():
        return values
    decoded = [_decoded(_BYTES.findall(value)) for value in values.filter(listed).to_list()]
    return values.scatter(listed.arg_true(), decoded)


def _decoded(numbers: list[str]) -> str:
    return bytes(min(int(number), 255) for number in numbers).decode("utf-8", errors="replace")


class Journald(JsonLines):
    """The syslog identifier is the service; what the journal adds on its own account is passed over."""

    name = "journald"
    marks = ('"__REALTIME_TIMESTAMP"',)

    def named(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Return time, level, service, host, message, unit and process, and what the sender itself added."""
        unit = first_of(frame, "UNIT", "_SYSTEMD_UNIT", "USER_UNIT", "_SYSTEMD_USER_UNIT")
        said = _text(chosen(frame, {"said": first_of(frame, "MESSAGE")}).to_series())
        columns = {
            "timestamp": first_of(frame, "_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"),
            "level": first_of(frame, "PRIORITY"),
            "service": pl.coalesce(first_of(frame, "SYSLOG_IDENTIFIER", "_COMM"), unit.str.strip_suffix(".service")),
            "host": first_of(frame, "_HOSTNAME"),
            "message": pl.lit(said.fill_null("")),
            "pid": first_of(frame, "_PID", "SYSLOG_PID"),
            "unit": unit,
        }
        own = {key.lower(): pl.col(key) for key in frame.columns if not _PASSED_OVER.match(key)}
        stamp = first_of(frame, "__REALTIME_TIMESTAMP")
        of_kind = chosen(frame, {"kind": stamp.str.contains(r"^[0-9]{16}$").fill_null(value=False)}).to_series()
        return chosen(frame, {**own, **columns}), of_kind

    def _read(self, text: pl.Series, stripped: pl.Series, year: int) -> pl.DataFrame:
        return super()._read(text, stripped.str.replace(_LISTED, '"MESSAGE":"[${1}]"'), year)
