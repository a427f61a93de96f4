"""What the URLs of log stores have in common: ``loki+https://user@host/path?query=…&since=24h&token-file=FILE``."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote, unquote, urlsplit

from oddlog.errors import ConfigError, did_you_mean
from oddlog.sources.asking import Http, secret

COMMON = ("query", "since", "until", "limit", "most", "rate", "settle", "link", "token-file")
MOST_LINES = 10_000_000
_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True)
class StoreUrl:
    """A URL of a log store, taken apart.

    Attributes
    ----------
    name : str
        It without user, password and query.
    since, until : str
        A time, or how far back.
    settle_s, rate : float
        How old entries must be to be asked for; requests a second.
    link : str
        What an incident's link looks like, with ``{start}``, ``{end}`` (milliseconds) and ``{query}``.
    own : dict
        What only this kind of store has.

    """

    name: str
    base: str
    path: str
    query: str
    since: str
    until: str
    limit: int
    most: int
    rate: float
    settle_s: float
    link: str
    headers: dict[str, str]
    own: dict[str, str]

    @classmethod
    def parse(cls, url: str, own: Collection[str] = (), *, limit: int = 5_000) -> StoreUrl:
        """Take a URL apart; it may set what `own` names besides.

        Raises
        ------
        ConfigError
            If it names no host, or sets what is not there, or no number.

        """
        parts = urlsplit(url)
        kind, _, scheme = parts.scheme.partition("+")
        if scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"'{url}' names no log store.", f"Write {kind}+http://HOST:PORT/…?query=….")
        asked = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        odd = sorted(set(asked) - {*COMMON, *own})
        if odd:
            known = {*COMMON, *own}
            raise ConfigError(f"'{_bare(url)}' sets '{odd[0]}', which is not there.", did_you_mean(odd[0], known))
        host = parts.netloc.rpartition("@")[2]
        made = cls(
            name=f"{parts.scheme}://{host}{parts.path.rstrip('/')}",
            base=f"{scheme}://{host}",
            path=parts.path.strip("/"),
            query=asked.get("query", ""),
            since=asked.get("since", "24h"),
            until=asked.get("until", ""),
            limit=_number(asked, "limit", limit),
            most=_number(asked, "most", MOST_LINES),
            rate=_number(asked, "rate", 5),
            settle_s=seconds(asked.get("settle", "5s")),
            link=asked.get("link", ""),
            headers=_headers(parts.username, parts.password, asked.get("token-file", "")),
            own={name: asked[name] for name in own if name in asked},
        )
        made.time_ns(made.since, 0)
        made.time_ns(made.until or "0s", 0)
        return made

    def http(self, path: str, headers: dict[str, str] | None = None) -> Http:
        """Return what asks below a path."""
        return Http(f"{self.base}/{path}".rstrip("/"), self.name, self.headers | (headers or {}))

    def time_ns(self, text: str, now_ns: int) -> int:
        """Return a time, or one that lies so far back, in nanoseconds since the epoch."""
        if re.fullmatch(r"\d+(?:\.\d+)?[a-z]+", text):
            return now_ns - round(seconds(text) * 1e9)
        try:
            time = datetime.fromisoformat(text)
        except ValueError as error:
            raise ConfigError(f"'{text}' is no time.", "Write since=24h, or since=2026-03-01T12:00:00Z.") from error
        return round((time.replace(tzinfo=UTC) if time.tzinfo is None else time).timestamp() * 1e6) * 1_000

    def since_ns(self, now_ns: int) -> int:
        """Return where to begin."""
        return self.time_ns(self.since, now_ns)

    def until_ns(self, now_ns: int) -> int:
        """Return where to end."""
        return self.time_ns(self.until, now_ns) if self.until else now_ns

    def shown(self, start_ns: int, end_ns: int, otherwise: str) -> str:
        """Return the link to a stretch of time."""
        if not self.link:
            return otherwise
        values = {"start": str(start_ns // 1_000_000), "end": str(end_ns // 1_000_000), "query": quote(self.query)}
        return re.sub(r"\{(start|end|query)\}", lambda found: values[found[1]], self.link)


def seconds(text: str) -> float:
    """Return a duration in seconds.

    >>> seconds("24h")
    86400.0
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|min|m|h|d|w)", text)
    if found is None:
        raise ConfigError(f"'{text}' is no duration.", "Write 30s, 10min, 24h or 7d.")
    return float(found[1]) * _UNITS[found[2]]


def _number(asked: dict[str, str], name: str, default: int) -> int:
    text = asked.get(name, str(default))
    if not text.isdecimal() or not int(text):
        raise ConfigError(f"'{text}' is no number for {name}=.", f"Write {name}={default}.")
    return int(text)


def _headers(user: str | None, password: str | None, token_file: str) -> dict[str, str]:
    if token_file:
        return {"Authorization": f"Bearer {secret(token_file)}"}
    if user:
        pair = f"{unquote(user)}:{unquote(password or '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
