"""Entries of Grafana Loki: ``loki+http://HOST:3100/?query={app="shop"}`` (GET /loki/api/v1/query_range)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import orjson

from oddlog.errors import ConfigError
from oddlog.sources.asking import Page, StoreFailedError, cut_at
from oddlog.sources.entries import loki_line, loki_service
from oddlog.sources.storeurl import StoreUrl

MOST_OF_A_MOMENT = 50_000  # entries asked for where a page holds one nanosecond only


class Loki:
    """Asks Loki; see `asking.Store`. A source is called by its service: ``loki+http://HOST:3100/shop``.

    Parameters
    ----------
    url : str
        With ``query``, a LogQL selector; ``tenant`` is sent as X-Scope-OrgID.

    Raises
    ------
    ConfigError
        If the URL makes no sense.

    """

    def __init__(self, url: str) -> None:
        self._url = of = StoreUrl.parse(url, ("tenant",))
        if not of.query.strip().startswith("{"):
            raise ConfigError(f"'{of.name}' asks for nothing.", 'Write ?query={app="shop"}, a LogQL selector.')
        self.name, self.settle_s, self.rate, self.most = of.name, of.settle_s, of.rate, of.most
        self.since_ns, self.until_ns = of.since_ns, of.until_ns
        self._http = of.http(of.path, {"X-Scope-OrgID": of.own["tenant"]} if "tenant" in of.own else None)

    def page(self, begin_ns: int, end_ns: int) -> Page:
        """Return entries in order of time; see `asking.Store`."""
        page, moment = cut_at(self._entries(begin_ns, end_ns, self._url.limit), self._url.limit, end_ns)
        if moment is None:
            return page
        found = self._entries(moment, moment + 1, MOST_OF_A_MOMENT)
        # How many there are beyond that nobody tells.
        crowded = int(len(found) >= MOST_OF_A_MOMENT)
        return Page([(source, text) for _, source, text in found], moment + 1, more=True, crowded=crowded)

    def link(self, start_ns: int, end_ns: int) -> str:
        """Return where to look: the API's own answer, unless the URL has a ``link``."""
        of = self._url
        query = urlencode({"query": of.query, "start": start_ns, "end": end_ns, "direction": "forward"})
        return of.shown(start_ns, end_ns, f"{of.base}/{of.path}{'/' if of.path else ''}loki/api/v1/query_range?{query}")

    def _entries(self, begin_ns: int, end_ns: int, limit: int) -> list[tuple[int, str, str]]:
        asked = {"query": self._url.query, "start": begin_ns, "end": end_ns, "limit": limit, "direction": "forward"}
        answer = self._http.ask(f"/loki/api/v1/query_range?{urlencode(asked)}")
        try:
            data = answer["data"]
            if data["resultType"] != "streams":
                raise StoreFailedError(f"{self.name} answers numbers: the query is no selector of lines.", 0.0)
            found = [
                (int(value[0]), stream["stream"], i, value)
                for stream in data["result"]
                for i, value in enumerate(stream["values"])
            ]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise StoreFailedError(f"{self.name} answers as Loki does not.", 0.0) from error
        # Streams come in no order: of one moment they are put in order of their labels, so that any two answers agree.
        found.sort(key=lambda one: (one[0], orjson.dumps(one[1], option=orjson.OPT_SORT_KEYS), one[2]))
        return [(at, self._source(labels), _line(labels, value)) for at, labels, _, value in found]

    def _source(self, labels: dict[str, str]) -> str:
        return f"{self.name}/{loki_service(labels) or 'unknown'}"


def _line(labels: dict[str, str], value: list[Any]) -> str:
    metadata = value[2] if len(value) > 2 and isinstance(value[2], dict) else {}  # noqa: PLR2004 - time, line, metadata
    return loki_line(labels, value[0], value[1], metadata)
