r"""Zeek's logs, tab-separated with their own header or as JSON (The Zeek manual, "Log formats").

::

    #separator \x09
    #path	conn
    #fields	ts	uid	id.orig_h	id.orig_p	id.resp_h	id.resp_p	proto	service	duration	…
    1732097472.345678	CX1…	192.0.2.7	4711	198.51.100.1	443	tcp	ssl	0.25	…
    {"ts":1732097472.345678,"uid":"CX1…","id.orig_h":"192.0.2.7",…,"_path":"conn"}
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from oddlog.formats.fields import assign
from oddlog.formats.http import level_of, with_answer
from oddlog.formats.json_lines import JsonLines, first_of
from oddlog.formats.layout import chosen, finish, lines_of, words
from oddlog.types import Format

MOST_COLUMNS = 256
_RENAMED = {
    "id.orig_h": "client",
    "id.orig_p": "client_port",
    "id.resp_h": "target",
    "id.resp_p": "target_port",
    "status_code": "status",
    "request_body_len": "bytes_in",
    "response_body_len": "bytes",
    "user_agent": "agent",
    "referrer": "referer",
    "host": "vhost",
    "service": "protocol",
}
_SECONDS = ("duration", "rtt")
_MESSAGES: dict[str, tuple[str, ...]] = {
    "conn": ("proto", "service", "conn_state"),
    "dns": ("proto", "qtype_name", "rcode_name"),
    "ssl": ("version", "validation_status", "last_alert"),
    "ssh": ("direction", "auth_success"),
    "files": ("source", "mime_type"),
    "notice": ("note", "msg"),
    "weird": ("name",),
    "reporter": ("message",),
    "smtp": ("last_reply",),
    "ftp": ("command", "reply_msg"),
    "kerberos": ("request_type", "error_msg"),
    "rdp": ("result",),
    "smb_files": ("action",),
    "tunnel": ("tunnel_type", "action"),
    "software": ("software_type", "name"),
}
"""Of which columns the message of each log is made; names, addresses and sizes stay fields."""
# Logs that JSON lines without ``_path`` can be told to be, by a key that no other has.
_KEYS = {"conn_state": "conn", "qtype_name": "dns", "status_msg": "http", "note": "notice", "auth_attempts": "ssh"}
_KEYS |= {"established": "ssl", "mime_type": "files"}
_LEVELS = {"notice": "WARNING", "weird": "NOTICE"}


def _said(frame: pl.DataFrame, path: pl.Expr) -> tuple[pl.Expr, pl.Expr, pl.DataFrame]:
    """Return message and level, and `frame` [lines] with what they are made of."""
    message, level = pl.lit(None, pl.String), first_of(frame, "level")
    for name, keys in _MESSAGES.items():
        parts = pl.concat_str([pl.lit(name), *[first_of(frame, k) for k in keys]], separator=" ", ignore_nulls=True)
        message = pl.when(path == name).then(parts).otherwise(message)
    level = pl.coalesce(level.str.replace("Reporter::", ""), path.replace_strict(_LEVELS, default="INFO"))
    if {"method", "uri"} <= set(frame.columns):
        version = first_of(frame, "version")
        protocol = pl.when(version.is_not_null()).then(pl.concat_str(pl.lit("HTTP/"), version))
        asked_for = [first_of(frame, "method"), first_of(frame, "uri"), protocol]
        asked = pl.concat_str(asked_for, separator=" ", ignore_nulls=True)
        status = first_of(frame, "status_code").str.strip_suffix(".0")
        answered = with_answer(chosen(frame, {"request": asked, "status": status}))
        number = pl.lit(answered["status"].str.to_integer(strict=False))
        is_http = path == "http"
        message = pl.when(is_http).then(pl.lit(answered["message"])).otherwise(message)
        level = pl.when(is_http).then(level_of(number).cast(pl.String)).otherwise(level)
        frame = frame.with_columns(answered["f.path"].alias("path")).drop("uri")
    return message, level, frame


def _named(frame: pl.DataFrame, path: pl.Expr) -> pl.DataFrame:
    """Return columns [lines] under names that `fields` understands: who spoke to whom, times in milliseconds."""
    message, level, frame = _said(frame, path)
    ms = {f"{n}_ms": first_of(frame, n).cast(pl.Float64, strict=False) * 1_000 for n in _SECONDS if n in frame.columns}
    time = pl.col("ts") if "ts" in frame.columns else pl.lit(None, pl.String)
    host = first_of(frame, "_system_name")
    columns = {"timestamp": time, "level": level, "service": path, "host": host, "message": message, **ms}
    read = {*_SECONDS, "ts", "_path", "_write_ts", "_system_name", "level", "message"}
    other = {_RENAMED.get(key, key): pl.col(key) for key in frame.columns if key not in read}
    return chosen(frame, {**other, **columns})


class _ZeekJson(JsonLines):
    """Zeek's JSON lines, with ``_path`` or told by their keys."""

    marks = ('"ts"',)

    def named(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Return the columns, and which lines have a time and somebody or a log's name."""
        keys = [(pl.col(key), log) for key, log in _KEYS.items() if key in frame.columns]
        told = pl.coalesce(
            *[pl.when(key.is_not_null()).then(pl.lit(log)) for key, log in keys], pl.lit(None, pl.String)
        )
        path = chosen(frame, {"path": pl.coalesce(first_of(frame, "_path"), told)}).to_series()
        uid = first_of(frame, "uid", "fuid", "id.orig_h", "_path")
        known = chosen(frame, {"kind": first_of(frame, "ts").is_not_null() & uid.is_not_null()}).to_series()
        return _named(frame, pl.lit(path)), known


@dataclass(frozen=True)
class Header:
    """What the lines that begin with ``#`` say of those that follow."""

    names: tuple[str, ...] = ()
    path: str = ""
    unset: str = "-"
    empty: str = "(empty)"

    def read(self, lines: list[str]) -> Header:
        """Return the header after further lines of it."""
        header = self
        for line in lines:
            key, _, value = line.partition("\t")
            if key == "#fields":
                names = tuple(value.split("\t"))
                header = replace(header, names=names if len(set(names)) == len(names) <= MOST_COLUMNS else ())
            elif key == "#path":
                header = replace(header, path=value)
            elif key == "#unset_field":
                header = replace(header, unset=value)
            elif key == "#empty_field":
                header = replace(header, empty=value)
        return header


class Zeek:
    """The log's name (conn, dns, http, …) is the service.

    Parameters
    ----------
    header : Header
        What the source's first lines say; found by `bind`. Blocks that hold a header go by their own from there on.

    """

    name = "zeek"

    def __init__(self, header: Header | None = None) -> None:
        self.header = header or Header()

    def bind(self, sample: pl.Series, *, year: int) -> Format | None:  # noqa: ARG002 -- Bindable's signature
        """Read the first header there is; JSON lines need none."""
        if len(sample) and sample.str.starts_with("{").any():
            return Zeek()
        lines = sample.filter(sample.str.starts_with("#")).to_list()
        last = next((i for i, line in enumerate(lines) if line.startswith("#fields\t")), -1)
        header = Header().read(lines[: last + 1])
        return Zeek(header) if header.names else None

    def _rows(self, text: pl.Series, header: Header, year: int) -> pl.DataFrame:
        """Read lines [lines] under one header."""
        frame = lines_of(text)
        if not header.names:
            return frame.with_columns(ok=pl.lit(value=False))
        parts = pl.DataFrame(words(frame, pl.col("text"), [f"c{i}" for i in range(len(header.names))], by="\t"))
        tabs = text.str.count_matches("\t", literal=True)
        nil = [header.unset, header.empty]
        columns = parts.select(pl.when(~pl.all().is_in(nil)).then(pl.all()).name.keep()).rename(
            dict(zip(parts.columns, header.names, strict=True))
        )
        read = assign(_named(columns, pl.lit(header.path or None, pl.String)), text, year=year)
        return read.with_columns(ok=(tabs == len(header.names) - 1) & pl.col("time").is_not_null())

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where a line has the header's columns and a time. Header lines are not ok."""
        text = text.cast(pl.String).fill_null("").alias("text")
        if text.str.starts_with("{").any():
            return _ZeekJson().parse(text, year=year)
        comment = text.str.starts_with("#")
        at = text.filter(comment).to_list()
        if not at:
            return finish(self._rows(text, self.header, year))
        # every run of header lines begins a segment of its own
        begins = (comment & ~comment.shift(1, fill_value=False)).cum_sum().alias("segment")
        header, parts = self.header, []
        frame = pl.DataFrame([text, begins, comment.alias("comment")])
        for segment in frame.partition_by("segment", maintain_order=True):
            header = header.read(segment.filter("comment")["text"].to_list())
            rows = self._rows(segment["text"], header, year)
            parts.append(rows.with_columns(ok=rows["ok"] & ~segment["comment"]))
        return finish(pl.concat(parts, how="diagonal_relaxed"))
