"""Syslog of network devices: ``%FACILITY-SEVERITY-MNEMONIC: message`` (Cisco IOS, IOS XE, IOS XR, NX-OS, ASA and kin).

::

    <189>1001: core-1: Nov 20 10:11:12.345: %LINK-3-UPDOWN: Interface Gi1/0/3, changed state to down
    Nov 20 10:11:12 core-1 1001: *Nov 20 10:11:12.345 UTC: %SYS-5-CONFIG_I: Configured from console by anna
    <166>Nov 20 2024 10:11:12 wall-1 : %ASA-6-302014: Teardown TCP connection 17 for outside
    2024 Nov 20 10:11:12 leaf-1 %ETHPORT-5-IF_UP: Interface Ethernet1/3 is up
    RP/0/RSP0/CPU0:Nov 20 10:11:12.345 UTC: ifmgr[227]: %PKT_INFRA-LINK-3-UPDOWN : Interface Gi0/0/0/1, …

What stands before the ``%`` differs from device to device and from collector to collector: a priority, a counter,
the device's name, and one or two times. Read as ordinary syslog, the counter would be the service.
"""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import by_distinct, on_some
from oddlog.formats.levels import SYSLOG
from oddlog.formats.times import Stamp, take
from oddlog.types import LEVEL

_STAMPS = (
    Stamp("%b %d %H:%M:%S", "yearless"),
    Stamp("%b %e %H:%M:%S", "yearless"),
    Stamp("%b %d %Y %H:%M:%S"),
    Stamp("%Y %b %d %H:%M:%S"),
    Stamp("%Y %b %e %H:%M:%S"),
    Stamp("%Y-%m-%dT%H:%M:%S"),
)
MARK = "%[A-Z][A-Z0-9_-]*-[0-7]-"
"""What lines of devices have and few others do: cheap to look for."""
_LINE = r"^((?:[^%]*(?:%\$[^%]*%\$ *)?[ :>$])?)%([A-Z][A-Z0-9_]*(?:-[A-Z0-9_]+)*?)-([0-7])-([A-Za-z0-9_]+) ?: ?(.*)$"
_TIME = r"(?:[12][0-9]{3} )?[A-Z][a-z]{2} [ 0-9]?[0-9](?: [12][0-9]{3})? [0-9]{2}:[0-9]{2}:[0-9]{2}"
_CLOCK = r"[0-9]{2}:[0-9]{2}:[0-9]{2}"
_UPTIME = r"[0-9]+[ywdh][0-9]+[wdhm]"
_TIME_OR_UPTIME = rf"[*.]?(?:{_TIME}|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_CLOCK}|{_CLOCK}|{_UPTIME})"
# Behind a time: its fraction, and its zone, which is a name or an offset.
_AFTER_TIME = r"(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:?[0-9]{2}| [A-Z]{3,4}\b(?: [A-Z][a-z]{2} [A-Z][a-z]{2} .*)?)?"
# The clocks of devices are often wrong, and those of one network differ: the first time, the collector's where there
# is one, is the time. What stands before it is a priority, a counter, a name.
_STARTS = r"(?:[12][0-9]{3} )?[A-Z][a-z]{2} [ 0-9]|[12][0-9]{3}-[0-9]{2}-"
_BEFORE_TIME = rf"^(?:<[0-9]{{1,3}}>)?(?:1 )?(?:[^ ]*: ?){{0,2}}?[*.]?((?:{_STARTS}).*)$"
_NUMBERED = r"(?:^|[ :])[0-9]+(?::|$)"


def _names(heads: pl.Series) -> pl.Series:
    """Return the device that each head [lines] names: the first word left without priority, times and counters."""
    bare = heads.str.replace(r"^<[0-9]{1,3}>(?:1 )?", "")
    bare = bare.str.replace_all(_TIME_OR_UPTIME + _AFTER_TIME, " : ").str.replace_all(_NUMBERED, " : ")
    return bare.str.extract(r"(?:^|[ :])([A-Za-z0-9][\w.\-/]*(?::[0-9A-Fa-f:]+)?)(?:[ :]|$)", 1)


def _timed(frame: pl.DataFrame, year: int) -> pl.DataFrame:
    """Add ``time`` [lines], null where a device only says how long it has been up."""
    since = pl.col("head").str.extract(_BEFORE_TIME, 1).fill_null("")
    timed = take(frame.select(since.alias("text")), year=year, only=_STAMPS)
    return frame.with_columns(timed["time"])


def _read(frame: pl.DataFrame, year: int) -> pl.DataFrame:
    named = pl.col("mnemonic").str.contains("[A-Za-z]")
    frame = _timed(frame, year).with_columns(
        level=pl.col("severity").replace_strict({str(i): v for i, v in enumerate(SYSLOG)}, return_dtype=LEVEL),
        message=pl.when(named).then(pl.concat_str("mnemonic", pl.lit(": "), "said")).otherwise("said"),
    )
    return frame.with_columns(by_distinct(frame["head"], _names).alias("host"))


def read_devices(frame: pl.DataFrame, *, year: int) -> pl.DataFrame:
    """Read `frame`'s ``text`` [lines]: time, device as host, facility as service, severity as level, ``f.mnemonic``.

    ``ok`` where a line has the ``%`` word. A mnemonic that is a word begins the message; a number would be masked.
    """
    parts = frame["text"].str.extract_groups(_LINE).struct.unnest()
    parts.columns = ["head", "service", "severity", "f.mnemonic", "said"]
    frame = frame.hstack(parts).with_columns(ok=pl.col("service").is_not_null(), mnemonic="f.mnemonic")
    return on_some(frame, pl.col("ok"), lambda some: _read(some, year))
