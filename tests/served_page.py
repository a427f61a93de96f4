"""A page over a store that holds what a test puts in; nobody judges there. Needs the extra ``service``."""

from __future__ import annotations

import socket
import threading
from functools import partial
from pathlib import Path

import pytest

from oddlog.types import Tally
from stored_incidents import Clock

pytest.importorskip("fastapi")
pytest.importorskip("jinja2")
from fastapi.testclient import TestClient

import oddlog
from oddlog.pipeline.live.streaming import Streaming
from oddlog.service import reading
from oddlog.service.api import make_app
from oddlog.service.gate import Gate
from oddlog.service.watching import Watching
from oddlog.service.worker import Worker
from oddlog.sources.spool import Spool
from oddlog.store import Store
from oddlog.web import pages


class Page:
    """The page of one service, by its application."""

    def __init__(self, model: Path, data: Path) -> None:
        self.clock = Clock()
        self.spool = Spool(data / "spool", Tally())
        self.store = Store(data / "oddlog.db", self.clock)
        self.worker = Worker(self.spool, Streaming(oddlog.load(model)), self.store)
        self.watching = Watching(self.worker, model, clock=self.clock)
        app = make_app(self.worker, parts=[partial(one.install, watching=self.watching) for one in (reading, pages)])
        self.app = Gate({"": app}, self.store, pages.sign_in)
        self.client = TestClient(self.app, headers={"Accept": "text/html"}, raise_server_exceptions=False)
        self._server: threading.Thread | None = None

    def serve(self) -> str:
        """Serve it on a port of loopback; return the address."""
        uvicorn = pytest.importorskip("uvicorn")
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(self.app, log_level="warning", ws="none", lifespan="off")
        self._running = uvicorn.Server(config)
        self._server = threading.Thread(target=self._running.run, kwargs={"sockets": [listening]}, daemon=True)
        self._server.start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    def close(self) -> None:
        if self._server is not None:
            self._running.should_exit = True
            self._server.join(30)
        self.client.close()
        self.store.close()
        self.spool.close()
