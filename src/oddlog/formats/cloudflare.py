"""Cloudflare's Logpush as JSON lines: HTTP requests and firewall events (Logpush, "Datasets").

::

    {"EdgeStartTimestamp":"2024-11-20T10:11:12Z","ClientIP":"192.0.2.7","ClientRequestMethod":"GET",
     "ClientRequestURI":"/a?x=1","EdgeResponseStatus":200,"EdgeResponseBytes":1234,"RayID":"8e5…", …}
"""

from __future__ import annotations

import polars as pl

from oddlog.formats.http import level_of, with_answer
from oddlog.formats.json_lines import JsonLines, first_of
from oddlog.formats.layout import chosen

_WORDS = {
    "client": "ClientIP",
    "referer": "ClientRequestReferer",
    "agent": "ClientRequestUserAgent",
    "country": "ClientCountry",
    "colo": "EdgeColoCode",
    "cache": "CacheCacheStatus",
    "ray_id": "RayID",
    "action": "Action",
    "rule_id": "RuleID",
}
_NUMBERS = {"bytes": "EdgeResponseBytes", "bytes_in": "ClientRequestBytes", "ttfb_ms": "EdgeTimeToFirstByteMs"}
_TIMES = {"EdgeStartTimestamp": "timestamp", "EdgeEndTimestamp": "time", "Datetime": "datetime"}
_READ = frozenset(
    {
        *_WORDS.values(),
        *_NUMBERS.values(),
        *_TIMES,
        *("ClientRequestMethod", "ClientRequestURI", "ClientRequestPath", "ClientRequestQuery"),
        *("ClientRequestProtocol", "ClientRequestHost", "EdgeResponseStatus", "OriginResponseStatus"),
        *("OriginResponseTime", "OriginResponseDurationMs"),
    }
)
# What a firewall rule does to a request beside logging, skipping and letting it pass.
_HELD_UP = ["block", "challenge", "jschallenge", "managedchallenge", "drop", "connectionclose"]


def _number(frame: pl.DataFrame, *keys: str) -> pl.Expr:
    return first_of(frame, *keys).cast(pl.Float64, strict=False)


def _request(frame: pl.DataFrame) -> pl.DataFrame:
    """Return ``message``, ``f.method`` and ``f.path`` [lines]."""
    asked = [first_of(frame, key) for key in ("ClientRequestMethod", "ClientRequestURI", "ClientRequestProtocol")]
    asked[1] = pl.coalesce(asked[1], first_of(frame, "ClientRequestPath"))
    status = first_of(frame, "EdgeResponseStatus").str.strip_suffix(".0").replace("0", None)
    action = pl.when(first_of(frame, "Action").is_in(_HELD_UP)).then(first_of(frame, "Action"))
    asked_for = pl.concat_str(asked, separator=" ", ignore_nulls=True)
    request = chosen(frame, {"request": asked_for, "status": status, "action": action})
    said = with_answer(request)
    message = pl.concat_str("message", "action", separator=" ", ignore_nulls=True)
    held = pl.when(pl.col("action").is_not_null()).then(pl.lit("WARNING"))
    number = pl.col("status").str.to_integer(strict=False)
    return said.select(
        message=message,
        level=pl.when(number >= 500).then(level_of(number)).otherwise(pl.coalesce(held, level_of(number))),  # noqa: PLR2004 -- see http
        method="f.method",
        path="f.path",
        status=number,
    )


class Cloudflare(JsonLines):
    """The host that was asked for is the service; durations are milliseconds."""

    name = "cloudflare"
    marks = ('"RayID"',)

    def named(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Return what access logs have under their names; other fields keep theirs."""
        origin = _number(frame, "OriginResponseStatus")
        # the older OriginResponseTime is in nanoseconds
        origin_ms = pl.coalesce(_number(frame, "OriginResponseDurationMs"), _number(frame, "OriginResponseTime") / 1e6)
        columns = {
            **{role: pl.col(key) for key, role in _TIMES.items() if key in frame.columns},
            "service": first_of(frame, "ClientRequestHost"),
            **{name: first_of(frame, key) for name, key in _WORDS.items()},
            **{name: _number(frame, key) for name, key in _NUMBERS.items()},
            "origin_status": pl.when(origin > 0).then(origin),  # 0: answered without asking the origin
            "origin_ms": pl.when(origin > 0).then(origin_ms),
        }
        said = _request(frame)
        other = {key: pl.col(key) for key in frame.columns if key not in _READ and not frame.schema[key].is_nested()}
        known = first_of(frame, *_TIMES).is_not_null() & first_of(frame, "RayID").is_not_null()
        other = {key: value for key, value in other.items() if key not in said.columns}
        return chosen(frame, other | columns).hstack(said), chosen(frame, {"kind": known}).to_series()
