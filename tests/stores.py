"""Small servers that answer as Loki and Elasticsearch do: neither is packaged for Debian or PyPI."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

STREAMS_MOST = 5_000  # Loki's max_entries_limit_per_query


class StoreServer(ABC):
    """Holds entries, answers queries, notes them, and fails as it is told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.failures: list[tuple[int, dict[str, str], str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                self._answer(parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(self.path, json.loads(body))

            def _answer(self, path: str, asked: dict[str, Any]) -> None:
                outer.asked.append((path, asked, dict(self.headers)))
                status, headers, text = outer.failures.pop(0) if outer.failures else (200, {}, "")
                content = text.encode() or json.dumps(outer.answer(path, asked)).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"

    @abstractmethod
    def answer(self, path: str, asked: dict[str, Any]) -> Any:
        """Return what the real one would, as JSON."""


class LokiServer(StoreServer):
    """GET /loki/api/v1/query_range: start inclusive, end exclusive, at most `limit` entries over all streams."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[int, dict[str, str], str]] = []

    def answer(self, path: str, asked: dict[str, Any]) -> Any:
        assert path.endswith("/loki/api/v1/query_range")
        assert asked["direction"] == "forward"
        start, end, limit = (int(asked[name]) for name in ("start", "end", "limit"))
        found = sorted((one for one in self.entries if start <= one[0] < end), key=lambda one: one[0])[:limit]
        streams: dict[str, dict[str, Any]] = {}
        for at, labels, line in found:
            name = json.dumps(labels)
            streams.setdefault(name, {"stream": labels, "values": []})["values"].append([str(at), line])
        # In no order, as Loki's own map of streams.
        result = sorted(streams.values(), key=lambda one: str(one["stream"])[::-1])
        return {"status": "success", "data": {"resultType": "streams", "result": result, "stats": {}}}


class ElasticServer(StoreServer):
    """POST /INDEX/_search: a range on @timestamp in milliseconds, sorted by it."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: list[tuple[str, dict[str, Any]]] = []

    def answer(self, path: str, asked: dict[str, Any]) -> Any:
        assert path.endswith("/_search")
        (first, *_) = asked["query"]["bool"]["filter"]
        (field, bounds), *_ = first["range"].items()
        assert bounds["format"] == "strict_date_optional_time_nanos"
        gte, lt = (_ms(bounds[name]) for name in ("gte", "lt"))
        found = [(i, _ms(one[field]), one) for i, one in self.documents if gte <= _ms(one[field]) < lt]
        found.sort(key=lambda one: (one[1], hash(one[0])))
        hits = [{"_index": "web", "_id": i, "_source": one, "sort": [at]} for i, at, one in found[: asked["size"]]]
        return {"took": 1, "timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": hits}}


def _ms(text: str) -> int:
    head, _, fraction = text.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{head}+00:00").timestamp())
    return seconds * 1_000 + int((fraction + "000")[:3])


@contextmanager
def running(server: StoreServer) -> Iterator[Any]:
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.server.shutdown()
        thread.join()
        server.server.server_close()
