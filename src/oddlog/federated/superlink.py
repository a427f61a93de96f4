"""The server's end: of Flower's SuperLink the part that sites talk to, over TLS, and nothing else of it.

::

    site ── TLS, signed key ── Guard ── Fleet API ── LinkState ── FleetGrid ── FlowerLink ── Federation

Flower's own `flower-superlink` serves on the port of the sites also what starts runs, registers keys and hands
programs to sites, and asks nobody who he is: whoever reaches the port could run what he likes at every site. So here
only the Fleet API is served, only for the keys of the roster, and the rest of the SuperLink is called in this process.
What a site runs is what is installed there; no program is ever sent.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from oddlog.errors import ConfigError, MissingExtraError
from oddlog.federated.fleet import FleetGrid
from oddlog.federated.guard import NOT_OWN, PUBLIC_KEY, REASON, WHY, Guard, decoded, fingerprint
from oddlog.federated.identity import Known

try:
    import uvicorn
    from fastapi import FastAPI, HTTPException, status
    from flwr.common.constant import NOOP_ACCOUNT_NAME, NOOP_FLWR_AID, SUPERLINK_NODE_ID
    from flwr.proto.fleet_pb2 import PushMessagesRequest
    from flwr.server.superlink.linkstate import LinkStateFactory
    from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME, NOOP_FEDERATION_ID, TaskType
    from flwr.supercore.error import http_error_translator
    from flwr.supercore.object_store import ObjectStoreFactory
    from flwr.supercore.protobuf.translation import ProtobufTranslationMiddleware
    from flwr.supercore.task_identity import TaskIdentity
    from flwr.superlink.federation import NoOpFederationManager
    from flwr.superlink.routers.fleet.node_auth import NodeAuthMiddleware
    from flwr.superlink.routers.fleet.router import router as fleet
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
except ImportError as error:
    raise MissingExtraError("The server of a federation", "federated") from error

TRIES = 3
"""An answer may be sent again, where the line broke: so many times what it may hold."""

log = logging.getLogger("oddlog.federated")


class SuperLink:
    """Listens for the sites of a roster, from `start` to `stop`.

    Parameters
    ----------
    roster : mapping of Known
        By site.
    certificate, key : Path
        Of the server, PEM.
    host, port : str, int
        Where to listen; 0 takes any free port.

    Attributes
    ----------
    name : dict
        The site of each node's number.
    turned_away : Counter
        How often who was, and why.

    Raises
    ------
    ConfigError
        If there is no such certificate, or somebody listens there already.

    """

    def __init__(
        self, roster: Mapping[str, Known], certificate: Path, key: Path, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        logging.getLogger("flwr").setLevel(logging.CRITICAL)  # it logs each message, and errors that are told here
        tls = _tls(certificate, key)
        factory = LinkStateFactory(FLWR_IN_MEMORY_DB_NAME, NoOpFederationManager(), ObjectStoreFactory())
        self.state = factory.state()
        self.name = {self._registered(known): site for site, known in roster.items()}
        self._key_of = {node: roster[site].connection for node, site in self.name.items()}
        self._left = dict.fromkeys(self._key_of.values(), 0)  # bytes that a site may still send
        self.grid = FleetGrid(factory, self._begun(), self._allow)
        self.turned_away: Counter[str] = Counter()
        self._site = {known.connection: site for site, known in roster.items()}
        api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, middleware=self._middleware())
        api.state.linkstate_factory, api.state.enable_supernode_auth = factory, True
        api.include_router(fleet)
        self._socket = _listening(host, port)
        self.address = f"{host}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            Guard(api, self._turned_away, self.is_known, self._left),
            log_config=None,
            log_level=logging.CRITICAL,
            lifespan="off",
            ws="none",
            loop="asyncio",
            timeout_graceful_shutdown=1,
            **tls,
        )
        try:
            config.load()  # reads the certificate
        except OSError as error:  # also what TLS makes of it
            self._socket.close()
            raise ConfigError(
                f"{certificate} and {key} are no certificate and its key: {error.strerror or error}.",
                "Make them: oddlog federate certificate HOST",
            ) from error
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def start(self) -> Self:
        """Listen from now on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Listen no longer."""
        self._server.should_exit = True
        self._thread.join(5)
        self._socket.close()

    def here(self) -> list[str]:
        """Return the sites that are connected."""
        return sorted(self.name[node] for node in self.grid.get_node_ids() if node in self.name)

    def is_known(self, public: bytes) -> bool:
        """Return whether a key is that of a site of the roster."""
        return public in self._site

    def _allow(self, nodes: Iterable[int], most_bytes: int) -> None:
        """Let sites send so much in answer to what they are asked next, and nothing of what was left before."""
        for node in nodes:
            if node in self._key_of:
                self._left[self._key_of[node]] = TRIES * most_bytes

    def _turned_away(self, public: bytes, reason: str) -> None:
        who = self._site.get(public) or fingerprint(public)
        said = f"{who}: {WHY[reason]}"
        if not self.turned_away[said]:
            log.warning("Turned away %s.", said)
        self.turned_away[said] += 1

    def _middleware(self) -> list[Middleware]:
        return [
            Middleware(BaseHTTPMiddleware, dispatch=http_error_translator),
            Middleware(ProtobufTranslationMiddleware),
            Middleware(NodeAuthMiddleware),
            Middleware(BaseHTTPMiddleware, dispatch=self._in_its_own_name),
        ]

    async def _in_its_own_name(self, request: Any, go_on: Callable[[Any], Awaitable[Any]]) -> Any:
        """Refuse the answer of another site: Flower looks at who brings it, and not at whose it says that it is."""
        asked = getattr(request.state, "protobuf_request", None)
        if isinstance(asked, PushMessagesRequest) and any(
            one.metadata.src_node_id != asked.node.node_id for one in asked.messages_list
        ):
            self._turned_away(decoded(request.headers[PUBLIC_KEY].encode()), NOT_OWN)
            raise HTTPException(status.HTTP_403_FORBIDDEN, headers={REASON: NOT_OWN})
        return await go_on(request)

    def _registered(self, known: Known) -> int:
        return int(self.state.create_node(NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, known.connection, 0))

    def _begun(self) -> Any:
        """Return the run, under way: what Flower wants to send messages in."""
        number = self.state.create_run(
            None, None, None, {}, NOOP_FEDERATION_ID, None, NOOP_FLWR_AID, TaskType.SERVER_APP
        )
        run = self.state.get_run_info(run_ids=[number])[0]
        self.state.claim_task(run.primary_task_id)
        self.state.activate_task(run.primary_task_id)
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = run.primary_task_id, number, SUPERLINK_NODE_ID
        return run


def _tls(certificate: Path, key: Path) -> dict[str, Any]:
    for path in (certificate, key):
        if not path.is_file():
            raise ConfigError(f"There is no {path}.", "Make a certificate: oddlog federate certificate HOST")
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(128)
    except OSError as error:
        made.close()
        raise ConfigError(
            f"Nothing can listen at {host}:{port}: {error.strerror or error}.", "Give another address."
        ) from error
    return made
