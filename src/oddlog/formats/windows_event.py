"""Windows events as JSON: winlogbeat's, NXLog's (im_msvistalog) and PowerShell's (``Get-WinEvent | ConvertTo-Json``).

::

    {"@timestamp":"…","winlog":{"channel":"Security","event_id":4625,"provider_name":"…",…},"message":"An account …"}
    {"EventTime":"…","Hostname":"web-1","EventType":"AUDIT_FAILURE","EventID":4625,"SourceName":"…","Message":"…",…}
    {"TimeCreated":"…","Id":4625,"LevelDisplayName":"Error","ProviderName":"…","LogName":"System","Message":"…",…}
"""

from __future__ import annotations

import polars as pl

from oddlog.formats.json_lines import JsonLines, first_of
from oddlog.formats.layout import chosen

_DATA = ("winlog.event_data.", "winlog.user_data.")
# What identifies the record or its writer and not what happened, per make.
_OTHERS = ("winlog.", "agent.", "ecs.", "event.", "host.", "log.", "process.thread", "UserId.", "Bookmark.", "@")
_NXLOG_AND_POWERSHELL = frozenset(
    """
    EventReceivedTime SourceModuleName SourceModuleType ProviderGuid Version OpcodeValue RecordNumber Keywords
    SeverityValue TaskValue ActivityID RelatedActivityID EventTime Hostname EventType Severity EventID
    SourceName Channel Message Category Task Opcode ProcessID ThreadID ExecutionProcessID ExecutionThreadID
    Level message TimeCreated MachineName LevelDisplayName Id ProviderName LogName ProcessId ThreadId
    TaskDisplayName OpcodeDisplayName ContainerLog ProviderId Qualifiers RecordId ActivityId RelatedActivityId
    UserId UserID KeywordsDisplayNames EventRecordID
    """.split()  # noqa: SIM905 -- fifty names are read more easily as text
)
# Standard levels of the manifest schema (LevelType); 0 is "log always", which is what audits have.
_LEVELS = {"0": "info", "1": "critical", "2": "error", "3": "warning", "4": "info", "5": "debug"}
# winmeta.h: WINEVENT_KEYWORD_AUDIT_FAILURE with the bit of classic events, and without. All are powers of two and
# sums of two of them, so that a reader of JSON that makes floats of large numbers keeps them exact.
_AUDIT_FAILURE = [-9218868437227405312.0, 4503599627370496.0]
_AUDIT_FAILURE_HEX = ["0x8010000000000000", "0x10000000000000"]


def _level(frame: pl.DataFrame) -> pl.Expr:
    """Return the word for the level; an audit failure is a warning at least, whatever its level says."""
    number = first_of(frame, "Level", "winlog.level").replace_strict(_LEVELS, default=None, return_dtype=pl.String)
    word = pl.coalesce(first_of(frame, "Severity", "log.level"), number, first_of(frame, "LevelDisplayName"))
    mild = word.is_null() | word.str.to_lowercase().is_in(["info", "information", "informational"])
    keywords = first_of(frame, "Keywords")
    failed = (
        (first_of(frame, "EventType") == "AUDIT_FAILURE").fill_null(value=False)
        | (first_of(frame, "event.outcome") == "failure").fill_null(value=False)
        | keywords.is_in(_AUDIT_FAILURE_HEX).fill_null(value=False)
        | keywords.cast(pl.Float64, strict=False).is_in(_AUDIT_FAILURE).fill_null(value=False)
    )
    return pl.when(failed & mild).then(pl.lit("warning")).otherwise(word)


def _message(frame: pl.DataFrame, event: pl.Expr, provider: pl.Expr) -> pl.Expr:
    """Return the message's first line, which says what happened; the table below it stands in the fields."""
    said = first_of(frame, "message", "Message").str.extract(r"^\s*([^\r\n]*\S)", 1)
    return pl.coalesce(said, pl.concat_str(pl.lit("event "), event, pl.lit(" of "), provider))


class WindowsEvent(JsonLines):
    """The provider is the service, the computer the host."""

    name = "windows_event"
    marks = ('"winlog"', '"EventID"', '"LogName"')

    def named(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Return what the three makes have in common under one name, and the event's own data."""
        time = first_of(frame, "@timestamp", "EventTime", "TimeCreated")
        event = first_of(frame, "winlog.event_id", "EventID", "Id").str.strip_suffix(".0")
        provider = first_of(frame, "winlog.provider_name", "SourceName", "ProviderName")
        channel = first_of(frame, "winlog.channel", "Channel", "LogName")
        columns = {
            "timestamp": time.str.replace(r"^/Date\((\d+)\)/$", "$1"),
            "level": _level(frame),
            "service": provider,
            "host": first_of(frame, "winlog.computer_name", "Hostname", "MachineName"),
            "message": _message(frame, event, provider),
            "event_id": event,
            "channel": channel,
            "task": first_of(frame, "winlog.task", "Category", "TaskDisplayName"),
            "pid": first_of(frame, "winlog.process.pid", "ProcessID", "ExecutionProcessID", "ProcessId"),
        }
        own: dict[str, pl.Expr] = {}
        for key in frame.columns:
            prefix = next((p for p in _DATA if key.startswith(p)), "")
            of_record = key in _NXLOG_AND_POWERSHELL or (not prefix and key.startswith(_OTHERS))
            if of_record or frame.schema[key].is_nested():
                continue
            value = pl.col(key).replace("-", None) if frame.schema[key] == pl.String else pl.col(key)
            name = key.removeprefix(prefix)
            own[name] = pl.coalesce(own[name], value) if name in own else value
        known = {"kind": event.is_not_null() & (provider.is_not_null() | channel.is_not_null())}
        return chosen(frame, {**own, **columns}), chosen(frame, known).to_series()
