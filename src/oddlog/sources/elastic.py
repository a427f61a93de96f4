"""Documents of Elasticsearch and OpenSearch: ``es+http://HOST:9200/INDEX?query=…`` (POST /INDEX/_search)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from oddlog.errors import ConfigError
from oddlog.sources.asking import Page, StoreFailedError, cut_at, secret
from oddlog.sources.entries import document_line
from oddlog.sources.storeurl import StoreUrl

_NANOS_FROM = 10**15  # a sort value beyond this is in nanoseconds (date_nanos), below in milliseconds
LARGEST_PAGE = 10_000  # index.max_result_window


class Elastic:
    """Asks Elasticsearch; see `asking.Store`. The source is called by host and index.

    Parameters
    ----------
    url : str
        With ``query``, in the syntax of query_string; ``time`` names the field of the time, ``@timestamp`` if not
        given; ``api-key-file`` holds an encoded API key.

    Raises
    ------
    ConfigError
        If the URL makes no sense.

    """

    def __init__(self, url: str) -> None:
        self._url = of = StoreUrl.parse(url, ("time", "api-key-file"))
        if not of.path:
            raise ConfigError(f"'{of.name}' names no index.", "Write es+http://HOST:9200/INDEX?query=….")
        if of.limit > LARGEST_PAGE:
            raise ConfigError(f"limit={of.limit} is more than Elasticsearch gives.", f"Write limit={LARGEST_PAGE}.")
        self.name, self.settle_s, self.rate, self.most = of.name, of.settle_s, of.rate, of.most
        self.since_ns, self.until_ns = of.since_ns, of.until_ns
        self._time = of.own.get("time", "@timestamp")
        key = of.own.get("api-key-file")
        self._http = of.http(quote(of.path), {"Authorization": f"ApiKey {secret(key)}"} if key else None)

    def page(self, begin_ns: int, end_ns: int) -> Page:
        """Return documents in order of time; see `asking.Store`."""
        limit = self._url.limit
        # A field of the type date knows milliseconds: a stretch of time ends with a whole one.
        whole = end_ns // 1_000_000 * 1_000_000
        end_ns = whole if whole > begin_ns else end_ns
        page, moment = cut_at(self._documents(begin_ns, end_ns, limit), limit, end_ns)
        if moment is None:
            return page
        # A millisecond that fills a page: the next page begins behind it, what stands beyond the largest is counted.
        after = moment + 1_000_000
        found = self._documents(moment, after, LARGEST_PAGE)
        crowded = int(len(found) >= LARGEST_PAGE)
        return Page([(source, text) for _, source, text in found], after, more=True, crowded=crowded)

    def link(self, start_ns: int, end_ns: int) -> str:
        """Return where to look: the API's own answer, unless the URL has a ``link``."""
        of = self._url
        span = f"{self._time}:[{_iso(start_ns)} TO {_iso(end_ns)}]"
        asked = urlencode({"q": f"({of.query}) AND {span}" if of.query else span, "sort": f"{self._time}:asc"})
        return of.shown(start_ns, end_ns, f"{of.base}/{quote(of.path)}/_search?{asked}")

    def _documents(self, begin_ns: int, end_ns: int, limit: int) -> list[tuple[int, str, str]]:
        bounds = {"gte": _iso(begin_ns), "lt": _iso(end_ns), "format": "strict_date_optional_time_nanos"}
        asked: list[Any] = [{"range": {self._time: bounds}}]
        if self._url.query:
            asked.append({"query_string": {"query": self._url.query}})
        body = {
            "size": limit,
            "query": {"bool": {"filter": asked}},
            "sort": [{self._time: {"order": "asc"}}],
            "track_total_hits": False,
        }
        answer = self._http.ask("/_search", body)
        try:
            hits = answer["hits"]["hits"]
            found = [(_ns(hit["sort"][0]), str(hit.get("_index", "")), str(hit["_id"]), hit["_source"]) for hit in hits]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise StoreFailedError(f"{self.name} answers as Elasticsearch does not.", 0.0) from error
        if answer.get("timed_out") or answer.get("_shards", {}).get("failed"):
            raise StoreFailedError(f"{self.name} could not ask all of its shards.", 2.0)
        found.sort(key=lambda one: one[:3])  # of one moment, shards answer in no order
        return [(at, self.name, document_line(orjson.dumps(source))) for at, _, _, source in found]


def _ns(value: float) -> int:
    return int(value) if abs(value) >= _NANOS_FROM else int(value) * 1_000_000


def _iso(time_ns: int) -> str:
    seconds, nanos = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"
