"""What the keys of structured logs mean: named columns become records and found fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from oddlog.formats.levels import by_any, by_letter
from oddlog.formats.times import epoch, epoch_text, take
from oddlog.types import LEVEL, TIME

# Keys are compared without case, dots, dashes, underscores and @. Order is precedence.
_SPELLINGS = {
    "time": "timestamp time ts eventtime datetime asctime logtime isotime timestampms timeunixnano tdate"
    " instantepochsecond starttime created createdat date t observedtimestamp epoch when",
    "level": "level severity lvl loglevel levelname severitytext severitylabel severityname l s",
    "message": "message msg log shortmessage logmessage renderedmessage event text body textpayload eventmessage m",
    "service": "service servicename resourceservicename app application appname applicationname",
    "part": "kuberneteslabelsapp kubernetescontainername containername container component program unit"
    " systemdunit module logger loggername loglogger logname category name",
    "host": "host hostname node nodename kuberneteshost kubernetesnodename machine machinename computer"
    " server agenthostname",
    "pod": "pod podname kubernetespodname kubernetespod k8spodname",
}
ROLES: dict[str, Sequence[str]] = {role: spelled.split() for role, spelled in _SPELLINGS.items()}
"""Meaning of a key, by its plain spelling; `part` names a service where nothing better does."""

_RENAMED = {
    "traceid": "trace_id",
    "ddtraceid": "trace_id",
    "oteltraceid": "trace_id",
    "spanid": "span_id",
    "ddspanid": "span_id",
    "otelspanid": "span_id",
}
# Numbers under such names tell who, not how much.
_WHO = re.compile(r"(?:id|uuid|guid|user|username|session|ip|addr|address|account|tenant|key|version|thread|pid)$")
_NUMBER = r"^[+-]?(?:[0-9]{1,15}(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?$"
LONGEST_NAME = 64  # characters
LONGEST_WORD = 256  # characters of a field; longer values are texts, of which the head is kept

# What Kubernetes appends to a controller's name: a hash and five characters (Deployment), five (DaemonSet, Job;
# its alphabet has no vowels), an ordinal (StatefulSet).
_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
_REPLICA = rf"-(?:[0-9a-f]{{8,10}}|{_SAFE}{{8,10}})-{_SAFE}{{5}}$|-{_SAFE}{{5}}$|-\d{{1,3}}$"


def plain_name(key: str) -> str:
    """Return the spelling that keys are compared in.

    >>> plain_name("@Time-Stamp"), plain_name("kubernetes.pod_name")
    ('timestamp', 'kubernetespodname')
    """
    return re.sub(r"[^0-9a-z]", "", key.lower())


def service_of_pod(pod: pl.Expr) -> pl.Expr:
    """Return a pod's name without the hashes and ordinals of its replicas."""
    return pod.str.replace(_REPLICA, "")


Columns = dict[str, str]  # name of the column -> key as it was written; a key may be any text, "*" for one


def _of_role(keys: Columns, role: str) -> list[str]:
    """Return the columns that can play a role, best first."""
    rank = {plain: i for i, plain in enumerate(ROLES[role])}
    candidates = [(rank[plain_name(key)], column) for column, key in keys.items() if plain_name(key) in rank]
    return [column for _, column in sorted(candidates, key=lambda c: c[0])]


def _is_nested(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.List | pl.Struct | pl.Array) or dtype == pl.Null


def time_of(column: pl.Series, year: int) -> pl.Series:
    """Return the TIME of epoch numbers or of any written time; null where it is none."""
    if column.dtype.is_numeric():
        return column.to_frame("t").select(epoch(pl.col("t"))).to_series()
    text = column.cast(pl.String).fill_null("").str.strip_chars(" ").alias("text")
    digits = text.str.contains(r"^[0-9]{10}(?:\.[0-9]{1,9}|[0-9]{3}|[0-9]{6}|[0-9]{9})?$")
    if digits.all():
        return text.to_frame().select(epoch_text(pl.col("text"))).to_series()
    taken = take(text.to_frame(), year=year)
    whole = pl.col("rest").str.strip_chars() == ""
    return taken.select(pl.when(whole).then("time")).to_series()


def _time(frame: pl.DataFrame, keys: Columns, year: int) -> tuple[pl.Series, dict[str, pl.Expr]]:
    """Return the first time that can be read per line, and where the columns of times are left over."""
    columns = _of_role(keys, "time")
    result = pl.Series("time", [None] * len(frame), dtype=TIME)
    left: dict[str, pl.Expr] = {}
    spelled = {plain_name(keys[c]): c for c in reversed(columns) if frame.schema[c] == pl.String}
    if {"date", "time"} <= spelled.keys():
        pair = [spelled["date"], spelled["time"]]
        result = time_of(frame.select(pl.concat_str(pair, separator=" ")).to_series(), year).alias("time")
        left = dict.fromkeys(pair, pl.lit(result.is_null()))
    for column in columns:
        if frame.schema[column] == pl.String and not result.null_count():
            left.setdefault(column, pl.lit(value=False))  # one time a line is enough
            continue
        found = time_of(frame[column], year)
        left[column] = left.get(column, pl.lit(value=True)) & pl.lit(found.is_null())
        result = pl.select(pl.coalesce(result, found)).to_series().alias("time")
    return result, left


def _level(keys: Columns) -> tuple[pl.Expr, dict[str, pl.Expr]]:
    """Return the first level that is understood, and where the columns of levels are left over."""
    answer = pl.lit(None, LEVEL)
    left: dict[str, pl.Expr] = {}
    for column in _of_role(keys, "level"):
        word = pl.col(column).cast(pl.String)
        # a key of one letter is a level only if its value is one letter too
        level = by_letter(word) if len(plain_name(keys[column])) == 1 else by_any(word)
        left[column] = answer.is_not_null() | level.is_null()
        answer = pl.coalesce(answer, level)
    return answer, left


def _first(columns: Sequence[str], answer: pl.Expr | None = None) -> tuple[pl.Expr, dict[str, pl.Expr]]:
    """Return the first text that is not empty, after `answer`, and where the columns are left over."""
    answer = pl.lit(None, pl.String) if answer is None else answer
    left: dict[str, pl.Expr] = {}
    for column in columns:
        text = pl.col(column).cast(pl.String)
        left[column] = answer.is_not_null()
        answer = pl.coalesce(answer, pl.when(text != "").then(text))
    return answer, left


def _found_all(frame: pl.DataFrame, keys: Columns, left: Mapping[str, pl.Expr]) -> dict[str, pl.Expr]:
    """Return the found fields of all columns, each where its `left` holds; of two of one name the first."""
    looks = []
    for column in (c for c in keys if frame.schema[c] == pl.String):
        value = pl.when(left[column]).then(pl.col(column)) if column in left else pl.col(column)
        number = value.str.contains(_NUMBER)
        every = (number | (value == "") | value.is_null()).all()
        looks += [number.any().alias(f"some {column}"), every.alias(f"every {column}")]
    seen = frame.select(looks).row(0, named=True) if looks and len(frame) else {}
    found: dict[str, pl.Expr] = {}
    for column, key in keys.items():
        mixed = seen.get(f"some {column}", False), seen.get(f"every {column}", True)
        for name, field in _found(frame, column, key, left.get(column), mixed).items():
            found[name] = pl.coalesce(found[name], field) if name in found else field
    return found


def _found(
    frame: pl.DataFrame, column: str, key: str, left: pl.Expr | None, mixed: tuple[bool, bool]
) -> dict[str, pl.Expr]:
    """Return the found fields of one column, its numbers as ``n.``, its words as ``f.``, where `left` holds.

    `mixed` says of a column of text whether some of its values are numbers, and whether all are.
    """
    plain = plain_name(key)
    to = "pod" if plain in ROLES["pod"] else _RENAMED.get(plain, key[:LONGEST_NAME])
    value = pl.col(column) if left is None else pl.when(left).then(pl.col(column))
    dtype = frame.schema[column]
    who = bool(_WHO.search(plain)) or plain in _RENAMED or plain in ROLES["pod"]
    if dtype.is_numeric() and not who:
        return {f"n.{to}": value.cast(pl.Float32, strict=False)}
    text = value.cast(pl.String).str.head(LONGEST_WORD)
    if dtype.is_float():
        text = text.str.strip_suffix(".0")
    if who or dtype != pl.String:
        return {f"f.{to}": pl.when(text != "").then(text)}
    number = value.str.contains(_NUMBER)
    some, every = mixed
    found = {}
    if some:
        found[f"n.{to}"] = pl.when(number).then(value).cast(pl.Float32, strict=False)
    if not every:
        found[f"f.{to}"] = pl.when(~number & (text != "")).then(text)
    return found


def found_fields(frame: pl.DataFrame) -> pl.DataFrame:
    """Return every column of `frame` [lines] as a found field, numbers as ``n.NAME``, words as ``f.NAME``."""
    keys = {key: key for key in frame.columns if not _is_nested(frame.schema[key])}
    return frame.select(**_found_all(frame, keys, {}))


def assign(frame: pl.DataFrame, text: pl.Series, *, year: int) -> pl.DataFrame:
    """Return records and found fields of a frame of named columns [lines].

    A column that answers for a line (its time, its level, …) is not kept as a field of it; where another
    one answered first, or where it is not understood, it is.

    Parameters
    ----------
    frame : pl.DataFrame [lines]
        One column per key, dotted names for nested ones; numbers, words, booleans. Lists are passed over.
    text : pl.Series of str [lines]
        The whole lines: the message of those that have none of their own.
    year : int
        For times without one.

    """
    if not frame.width:
        frame = pl.DataFrame({"nothing": pl.repeat(None, len(text), dtype=pl.Null, eager=True)})
    keys = {f"c{i}": key for i, key in enumerate(frame.columns)}
    frame = frame.rename({key: column for column, key in keys.items()})
    keys = {c: key for c, key in keys.items() if not _is_nested(frame.schema[c])}
    time, left = _time(frame, keys, year)
    level, left_levels = _level(keys)
    messages = _of_role(keys, "message")
    message, left_messages = _first(messages)
    host, left_hosts = _first(_of_role(keys, "host"))
    service, left_services = _first(_of_role(keys, "service"))
    pod, _ = _first(_of_role(keys, "pod"))
    service, left_parts = _first(_of_role(keys, "part"), pl.coalesce(service, service_of_pod(pod)))
    left |= left_levels | left_messages | left_hosts | left_services | left_parts
    found = _found_all(frame, keys, left)
    empty = pl.any_horizontal([pl.col(c).is_not_null() for c in messages]) if messages else pl.lit(value=False)
    return frame.select(
        time=pl.lit(time),
        level=level,
        service=service,
        host=host,
        message=pl.coalesce(message, pl.when(empty).then(pl.lit("")), pl.lit(text)),
        **found,
    ).with_columns(text=text)
