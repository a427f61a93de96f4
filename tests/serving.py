"""The endpoints by a real HTTP server, for real clients."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import oddlog
from oddlog.sources.spool import Spool

PATIENCE_S = 60.0


class Serving:
    """The service in a thread of this process, on a port of its own; it keeps what is pushed and judges nothing."""

    def __init__(self, spool: Spool, folder: Path, model: Path) -> None:
        import uvicorn  # noqa: PLC0415 - of an extra

        from oddlog.pipeline.live.streaming import Streaming  # noqa: PLC0415
        from oddlog.service.api import make_app  # noqa: PLC0415
        from oddlog.service.worker import Worker  # noqa: PLC0415
        from oddlog.store import Store  # noqa: PLC0415

        self.store = Store(folder / "oddlog.db")
        app = make_app(Worker(spool, Streaming(oddlog.load(model)), self.store))
        self.server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", ws="none"))
        self.thread = threading.Thread(target=self.server.run)

    def __enter__(self) -> int:
        self.thread.start()
        until = time.monotonic() + PATIENCE_S
        while not self.server.started:
            assert time.monotonic() < until
            time.sleep(0.01)
        return int(self.server.servers[0].sockets[0].getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.store.close()
