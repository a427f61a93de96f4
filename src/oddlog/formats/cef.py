r"""ArcSight's Common Event Format, with or without a syslog header (Implementing ArcSight CEF, rev. 25).

::

    CEF:0|Example|Wall|7.2|100|door opened|5|src=192.0.2.7 spt=4711 msg=a value may hold spaces, and \= a sign
"""

from __future__ import annotations

import polars as pl

from oddlog.formats.fields import found_fields, time_of
from oddlog.formats.layout import by_distinct, chosen, finish, lines_of, on_some, words
from oddlog.formats.pairs import spread
from oddlog.formats.syslog import Syslog
from oddlog.formats.syslog5424 import Syslog5424
from oddlog.types import LEVEL, TIME

_HEADER = ["version", "f.vendor", "service", "f.product_version", "f.signature", "title", "severity", "extension"]
_LEVELS = {
    **dict.fromkeys(["0", "1", "2", "3", "low"], "INFO"),
    **dict.fromkeys(["4", "5", "6", "medium"], "WARNING"),
    **dict.fromkeys(["7", "8", "high"], "ERROR"),
    **dict.fromkeys(["9", "10", "very-high"], "CRITICAL"),
}
_TIMES = ("rt", "end", "start", "deviceReceiptTime")
_HOSTS = ("dvchost", "dvc", "shost")
_NAMED = {"in": "bytes_in", "out": "bytes_out", "cnt": "count"}
_MOST_LABELS = 16  # distinct labels of one custom column
# Stand for an escaped backslash and an escaped pipe while the line is split, and between pairs.
_BACKSLASH, _PIPE, _BETWEEN = "\x1d", "\x1e", "\x1f"
_KEY = r"(?:^|\s+)([A-Za-z0-9_][\w.\-\[\]]*)="


def _header(frame: pl.DataFrame, year: int) -> pl.DataFrame:
    """Read what stands before ``CEF:``: nothing, or a header of syslog."""
    bare = pl.col("before") == ""
    if frame.select(bare.all()).item():
        return frame.with_columns(host=pl.lit(None, pl.String), time=pl.lit(None, TIME))
    whole = pl.concat_str(pl.col("before").str.strip_chars_end(" "), pl.lit(" CEF: -"))
    text = frame.select(pl.when(bare).then(pl.lit("")).otherwise(whole)).to_series()
    read = [header.parse(text, year=year).select("ok", "time", "host") for header in (Syslog5424(), Syslog())]
    host, time = (pl.coalesce([pl.lit(part[name]) for part in read]) for name in ("host", "time"))
    return frame.with_columns(host=host, time=time, ok=pl.col("ok") & (bare | pl.lit(read[0]["ok"] | read[1]["ok"])))


def _unescaped(column: pl.Expr) -> pl.Expr:
    """Return the text behind the escapes; an escaped line end becomes a space."""
    plain = column.str.replace_all(r"\\[nr]", " ").str.replace_all(r"\\(.)", "$1")
    return plain.str.replace_all(_BACKSLASH, "\\", literal=True).str.replace_all(_PIPE, "|", literal=True)


def _first(frame: pl.DataFrame, names: tuple[str, ...]) -> pl.Expr:
    return pl.coalesce([pl.col(n) for n in names if n in frame.columns] or [pl.lit(None, pl.String)])


def _told(pairs: pl.DataFrame, year: int) -> pl.DataFrame:
    """Return what the pairs say of time, message and host."""
    names = {"told": _first(pairs, _TIMES).str.replace(r" GMT([+-])", " ${1}").fill_null("")}
    told = chosen(pairs, names | {"said": _first(pairs, ("msg",)), "dvc": _first(pairs, _HOSTS)})
    return told.with_columns(time_of(told["told"], year).alias("told"))


def _labelled(frame: pl.DataFrame) -> pl.DataFrame:
    """Give custom columns their names: ``cs1Label=Rule cs1=west`` is ``Rule=west``."""
    for label in [c for c in frame.columns if c.endswith("Label") and c[:-5] in frame.columns]:
        column = label.removesuffix("Label")
        names = frame[label].drop_nulls().unique().sort().head(_MOST_LABELS).to_list()
        for name in names:
            value = pl.when(pl.col(label) == name).then(column)
            frame = frame.with_columns((pl.coalesce(name, value) if name in frame.columns else value).alias(name))
        left = pl.when(pl.col(label).is_in(names).fill_null(value=False)).then(None).otherwise(pl.col(column))
        frame = frame.with_columns(left.alias(column))
    return frame.drop([c for c in frame.columns if c.endswith("Label")])


def _extension(frame: pl.DataFrame, year: int) -> pl.DataFrame:
    """Split ``key=value key=value``, where values may hold spaces: one ends where the next key begins."""
    marked = frame.select(pl.col("extension").fill_null("").str.replace_all(_KEY, _BETWEEN + "${1}=")).to_series()
    pairs = spread(marked, rf"[^{_BETWEEN}=]+=[^{_BETWEEN}]*")
    pairs = pairs.with_columns(_unescaped(pl.all()).str.strip_chars_end(" "))
    if pairs.width:
        own = _labelled(pairs).drop("msg", *_TIMES, *_HOSTS[:2], strict=False)
        named = {key: name for key, name in _NAMED.items() if key in own.columns and name not in own.columns}
        frame = frame.hstack(_told(pairs, year)).hstack(found_fields(own.rename(named)))
    else:
        nothing = pl.lit(None, pl.String)
        frame = frame.with_columns(told=pl.lit(None, TIME), said=nothing, dvc=nothing)
    both = pl.concat_str("title", "said", separator=": ")
    alone = pl.col("said").is_null() | (pl.col("said") == pl.col("title"))
    nameless = (pl.col("title") == "") & pl.col("said").is_not_null()
    return frame.with_columns(
        message=pl.when(nameless).then("said").when(alone).then("title").otherwise(both),
        time=pl.coalesce("told", "time"),
        host=pl.coalesce("dvc", "host"),
    )


class Cef:
    """Vendor, product, version, signature, name, severity, pairs; the product is the service."""

    name = "cef"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; severities 0-3 are INFO, 4-6 WARNING, 7-8 ERROR, 9-10 CRITICAL."""
        frame = lines_of(text)
        if not frame["text"].str.contains("CEF:", literal=True).any():
            return finish(frame.with_columns(ok=pl.lit(value=False)))
        frame = frame.with_columns(words(frame, pl.col("text"), ["before", "tail"], by="CEF:"))
        tail = pl.col("tail").str.replace_all("\\\\", _BACKSLASH, literal=True)
        frame = frame.with_columns(words(frame, tail.str.replace_all("\\|", _PIPE, literal=True), _HEADER, by="|"))
        severity = by_distinct(frame["severity"], lambda s: s.str.strip_chars(" ").str.to_lowercase())
        frame = frame.with_columns(
            [_unescaped(pl.col(n)).alias(n) for n in (*_HEADER[1:5], "title")],
            ok=pl.col("version").str.contains(r"^ ?[01]$") & pl.col("severity").is_not_null(),
            level=pl.lit(severity).replace_strict(_LEVELS, default=None, return_dtype=LEVEL),
        )
        frame = _header(frame.with_columns(pl.col("before").fill_null("")), year)
        return finish(on_some(frame, pl.col("ok"), lambda some: _extension(some, year)))
