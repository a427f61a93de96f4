"""Syslog as daemons write it (RFC 3164, section 4.1), with ``<PRI>`` or without, and with an RFC 3339 time.

::

    Nov 20 10:11:12 web-1 sshd[4711]: message
    <34>Nov 20 10:11:12 web-1 su: message
    2024-11-20T10:11:12.345678+01:00 web-1 sshd[4711]: message
    Nov 20 10:11:12 core-1 1001: Nov 20 10:11:11.345: %LINK-3-UPDOWN: message

The last one is a network device's; `devices` reads those.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from oddlog.formats.devices import MARK, read_devices
from oddlog.formats.layout import cascade, finish, lines_of, on_some, words
from oddlog.formats.levels import by_priority
from oddlog.formats.times import Stamp, take

_STAMPS = (
    Stamp("%b %d %H:%M:%S", "yearless"),
    Stamp("%b %e %H:%M:%S", "yearless"),
    Stamp("%Y-%m-%dT%H:%M:%S"),
    Stamp("%b %d %Y %H:%M:%S"),
)
# A tag: what stands before a colon or a ``[pid]``. RFC 3164 says 32 letters and digits; daemons add dots,
# slashes, dashes, parentheses, before a ``[pid]`` also spaces; some add a version, macOS who asked, login a dash.
_TAG = r"^(?: *-- )?(?:([^\[\]:]{1,48})\[(-?[\w.\-]+)\]|([^\s\[\]:]+(?: [0-9][\w.\-]*)?))(?: \([^)]*\))?: ?"


def split_tag(frame: pl.DataFrame) -> pl.DataFrame:
    """Split ``tail`` [lines] into ``service``, ``f.pid`` and ``message``; a line without a tag is all message."""
    simple = frame.with_columns(words(frame, pl.col("tail"), ["service", "message"], by=": "))
    name = pl.col("service").str.splitn("[", 2)
    plain = pl.col("service").str.contains(r"^[\w.\-/()]+(?:\[[0-9]+\])?$") & pl.col("message").is_not_null()
    simple = simple.with_columns(
        plain=plain,
        service=name.struct.field("field_0"),
        **{"f.pid": name.struct.field("field_1").str.strip_suffix("]")},
    )

    def odd(some: pl.DataFrame) -> pl.DataFrame:
        found = pl.col("tail").str.extract_groups(_TAG)
        name = pl.coalesce(found.struct.field("1"), found.struct.field("3"))
        return some.with_columns(
            found.struct.field("2").alias("f.pid"),
            service=name,
            message=pl.when(name.is_not_null()).then(pl.col("tail").str.replace(_TAG, "")).otherwise("tail"),
        )

    return on_some(simple, ~pl.col("plain"), odd).drop("plain", "tail")


def without_priority(frame: pl.DataFrame) -> pl.DataFrame:
    """Take ``<PRI>`` off ``text`` [lines]; ``priority`` is its number."""
    digits = pl.col("text").str.extract(r"^<([0-9]{1,3})>", 1)
    number = digits.str.to_integer(strict=False)
    return frame.with_columns(
        priority=pl.when(number <= 191).then(number),  # noqa: PLR2004 -- 23 facilities x 8 + 7
        text=pl.col("text").str.replace(r"^<[0-9]{1,3}>", ""),
        whole="text",
    )


def _read(frame: pl.DataFrame) -> pl.DataFrame:
    split = frame.with_columns(words(frame, pl.col("rest").str.strip_chars_start(" "), ["host", "tail"]))
    split = split.with_columns(
        ok=pl.col("host").str.contains(r"^[\w.:%\-/@]+$") & ~pl.col("host").str.ends_with(":"),
        tail=pl.col("tail").fill_null(""),
        level=by_priority(pl.col("priority")),
    )
    return on_some(split, pl.col("ok"), split_tag)


def _daemons(frame: pl.DataFrame, *, year: int) -> pl.DataFrame:
    if frame["text"].str.starts_with("<").any():
        frame = without_priority(frame)
    else:
        frame = frame.with_columns(priority=pl.lit(None, pl.Int64), whole="text")
    taken = take(frame, year=year, only=_STAMPS).with_columns(text="whole")
    return on_some(taken, pl.col("ok"), _read)


class Syslog:
    """Time, host, tag with process, message; the tag is the service. Of network devices, the facility."""

    name = "syslog"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; a level only where a priority or a device says it. Every turn of the year adds one."""
        frame = lines_of(text)
        if not frame["text"].str.contains(MARK).any():
            return finish(_daemons(frame, year=year))
        return finish(cascade(frame, [partial(read_devices, year=year), partial(_daemons, year=year)]))
