"""The server's end: of Flower's SuperLink the part that sites talk to, over TLS, and nothing else of it.

::

    site ── TLS, signed key ── Guard ── Fleet API ── LinkState ── FleetGrid ── FlowerLink ── Federation

Flower's own `flower-superlink` serves on the port of the sites also what starts runs, registers keys and hands
programs to sites, and asks nobody who he is: whoever reaches the port could run what he likes at every site. So here
only the Fleet API is served, only for the keys of the roster, and the rest of the SuperLink is called in this process.
What a site runs is what is installed there; no program is ever sent.
"""

from __future__ import annotations

import base64
import datetime as dt
import logging
import os
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Self

from oddlog.errors import ConfigError, MissingExtraError
from oddlog.federated.identity import Known

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
try:
    import uvicorn
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from fastapi import FastAPI
    from flwr.app import Message
    from flwr.app.message import remove_content_from_message
    from flwr.common.constant import (
        NOOP_ACCOUNT_NAME,
        NOOP_FLWR_AID,
        SUPERLINK_NODE_ID,
        SYSTEM_TIME_TOLERANCE,
        TIMESTAMP_HEADER,
        TIMESTAMP_TOLERANCE,
    )
    from flwr.server.superlink.linkstate import LinkStateFactory
    from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME, NOOP_FEDERATION_ID, TaskType
    from flwr.supercore.error import http_error_translator
    from flwr.supercore.inflatable.inflatable_object import (
        get_all_nested_objects,
        get_object_tree,
        iterate_object_tree,
        no_object_id_recompute,
    )
    from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
    from flwr.supercore.object_store import NoObjectInStoreError, ObjectStoreFactory
    from flwr.supercore.primitives.asymmetric import bytes_to_public_key, verify_signature
    from flwr.supercore.protobuf.translation import ProtobufTranslationMiddleware
    from flwr.supercore.task_identity import TaskIdentity
    from flwr.superlink.federation import NoOpFederationManager
    from flwr.superlink.grid.inmemory_grid import InMemoryGrid
    from flwr.superlink.routers.fleet.node_auth import NodeAuthMiddleware
    from flwr.superlink.routers.fleet.router import router as fleet
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
except ImportError as error:
    raise MissingExtraError("The server of a federation", "federated") from error

PUBLIC_KEY = "flwr-public-key"
"""The header that Flower's nodes send their key in."""
SIGNATURE = "flwr-signature"
"""The header with their signature of the time."""
REASON = "x-oddlog-reason"
"""The header that says why a site was turned away; Flower's own answer is the same for every reason."""
UNREGISTERED, CONNECTED, UNSIGNED = "unregistered", "connected", "unsigned"
TOO_LARGE, TOO_MUCH, NOT_SERVED = "too-large", "too-much", "not-served"
MOST_BYTES = 1 << 26
"""Of one request: a network of 16 million weights. What a site may send in answer to a question is less (`allow`)."""
TRIES = 3
"""An answer may be sent again, where the line broke: so many times what it may hold."""
ACTIVATE = "/v1/fleet/activate-node"
LENGTH = "content-length"
PUSHING = frozenset({"/v1/fleet/push-messages", "/v1/fleet/push-object"})
SERVED = frozenset(
    f"/v1/fleet/{name}"
    for name in (
        "activate-node",
        "deactivate-node",
        "send-node-heartbeat",
        "pull-messages",
        "push-messages",
        "push-object",
        "pull-object",
        "confirm-message-received",
    )
)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

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
        api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, middleware=_middleware())
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
        said = f"{who}: {_WHY[reason]}"
        if not self.turned_away[said]:
            log.warning("Turned away %s.", said)
        self.turned_away[said] += 1

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


_WHY = {
    UNREGISTERED: "its key is not in the roster",
    CONNECTED: "another process is connected with this identity",
    UNSIGNED: "its signature does not hold; its clock may be minutes off",
    TOO_LARGE: f"sent more than {MOST_BYTES >> 20} MiB at once",
    TOO_MUCH: "sent more than the answer may hold",
    NOT_SERVED: "asked for what is not served",
}


class FleetGrid(InMemoryGrid):
    """Flower's Grid on the state that the Fleet API serves; its own one knows no contents."""

    def __init__(self, factory: Any, run: Any, allow: Callable[[Iterable[int], int], None]) -> None:
        super().__init__(factory)
        self.allow = allow
        self.set_run(run)
        self._number, self._task = run.run_id, run.primary_task_id
        self._coming: dict[str, Message] = {}  # answers whose contents have not all come yet

    def get_node_ids(self) -> Iterable[int]:
        """Return the nodes that are connected."""
        self.state.acknowledge_task_heartbeat(self._task)  # or the run is taken for dead
        return list(self.state.get_nodes(self._number))

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Put messages where their nodes fetch them."""
        sent = []
        with no_object_id_recompute():
            for message in messages:
                message.metadata.__dict__["_message_id"] = message.object_id
                session = self.state.start_session(self._number)
                contents = get_all_nested_objects(message)
                stored, missing = self.state.store_message_and_object_tree(
                    remove_content_from_message(message), get_object_tree(message), session
                )
                for one in missing if stored else ():
                    self.state.store_object(self._number, session, one, contents[one].deflate())
                sent.append(message.object_id)
        return sent

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the answers that are there, whole, once."""
        self.state.acknowledge_task_heartbeat(self._task)
        asked_for = list(message_ids)
        unseen = {one for one in asked_for if one not in self._coming}
        for answer in self.state.get_message_res(message_ids=unseen, run_id=self._number):
            self._coming[answer.metadata.reply_to_message_id] = answer
        whole = {asked: found for asked in asked_for if (found := self._whole(asked)) is not None}
        self.state.delete_messages(message_ins_ids=set(whole))
        for asked, answer in whole.items():
            del self._coming[asked]
            self.state.object_store.delete(asked)
            self.state.object_store.delete(answer.metadata.message_id)
        return list(whole.values())

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Return the answers that are there in time; of what comes later nothing is kept."""
        asked = list(messages)
        try:
            return super().send_and_receive(asked, timeout=timeout)
        finally:
            self._forget({message.metadata.message_id for message in asked})

    def _forget(self, asked: set[str]) -> None:
        for one in asked:
            answer = self._coming.pop(one, None)
            if answer is not None and not answer.has_error():
                self.state.object_store.delete(answer.metadata.message_id)
            self.state.object_store.delete(one)
        self.state.delete_messages(message_ins_ids=asked)

    def _whole(self, asked: str) -> Message | None:
        answer = self._coming.get(asked)
        if answer is None or answer.has_error():
            return answer
        number, store = answer.metadata.message_id, self.state.object_store
        try:
            parts = [tree.object_id for tree in iterate_object_tree(store.get_object_tree(number))]
        except NoObjectInStoreError:
            return None
        contents = {part: store.get(part) for part in parts}
        if not all(contents.values()):
            return None
        made = inflate_object_from_contents(number, contents)
        made.metadata.__dict__["_message_id"] = number
        return made


class Guard:
    """Lets nothing through but what sites need, bounded in size, and says who was turned away and why.

    Parameters
    ----------
    app : callable
        The Fleet API (ASGI).
    turned_away : callable
        Told (public key, reason).
    is_known : callable
        Whether a public key is that of a site.
    left : dict of int
        By public key, the bytes that a site may still leave here. Only bytes that have come, in a request that the site
        has signed, are taken from it: who lacks its key, or says a length and sends nothing, takes nothing from it.

    """

    def __init__(
        self,
        app: App,
        turned_away: Callable[[bytes, str], None],
        is_known: Callable[[bytes], bool],
        left: dict[bytes, int],
    ) -> None:
        self.app, self.turned_away, self.is_known, self.left = app, turned_away, is_known, left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        headers = {name.decode("latin-1").lower(): value for name, value in scope.get("headers", ())}
        public = _decoded(headers.get(PUBLIC_KEY, b""))
        reason = self._reason(scope, headers, public)
        if reason:
            self.turned_away(public, reason)
            await _refused(send, _STATUS.get(reason, 403), reason)
            return

        async def counted() -> MutableMapping[str, Any]:
            message = await receive()
            size = len(message.get("body", b""))
            if size > self.left.get(public, 0):  # of several requests at once, each within bounds
                self.turned_away(public, TOO_MUCH)
                return {"type": "http.disconnect"}
            self.left[public] -= size
            return message

        async def told(message: MutableMapping[str, Any]) -> None:
            why = _TURNED_AWAY.get(message.get("status", 200)) if scope["path"] == ACTIVATE else None
            if why:
                self.turned_away(public, why)
                message = {**message, "headers": [*message["headers"], (REASON.encode(), why.encode())]}
            await send(message)

        await self.app(scope, counted if scope["path"] in PUSHING else receive, told)

    def _reason(self, scope: Scope, headers: Mapping[str, bytes], public: bytes) -> str:
        if scope["type"] != "http" or scope["path"] not in SERVED:
            return NOT_SERVED
        if not self.is_known(public):
            return UNREGISTERED
        length = headers.get(LENGTH, b"")
        if not (length.isdigit() and int(length) <= MOST_BYTES):
            return TOO_LARGE
        if not is_signed(headers, public, dt.datetime.now(dt.UTC)):
            return UNSIGNED
        return TOO_MUCH if scope["path"] in PUSHING and int(length) > self.left.get(public, 0) else ""


def is_signed(headers: Mapping[str, bytes], public: bytes, now: dt.datetime) -> bool:
    """Return whether a request comes from who has this key: as Flower looks, but before anything of it is read."""
    try:
        said, signature = headers[TIMESTAMP_HEADER], base64.b64decode(headers[SIGNATURE], validate=True)
        age = (now - dt.datetime.fromisoformat(said.decode("ascii"))).total_seconds()
        recent = -SYSTEM_TIME_TOLERANCE < age < TIMESTAMP_TOLERANCE + SYSTEM_TIME_TOLERANCE
        return recent and verify_signature(bytes_to_public_key(public), said, signature)
    except (KeyError, ValueError, TypeError):
        return False


_STATUS = {TOO_LARGE: 413, TOO_MUCH: 413, UNSIGNED: 401}
_TURNED_AWAY = {401: UNSIGNED, 412: CONNECTED}  # Flower's answers to one that wants to connect


async def _refused(send: Send, status: int, reason: str) -> None:
    headers = [(REASON.encode(), reason.encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def fingerprint(public: bytes) -> str:
    """Return a short name for a key that nobody knows."""
    from hashlib import sha256  # noqa: PLC0415

    try:
        load_pem_public_key(public)
    except ValueError:
        return "somebody without a key"
    return f"a stranger (key {sha256(public).hexdigest()[:12]})"


def _decoded(header: bytes) -> bytes:
    try:
        return base64.b64decode(header, validate=True)
    except ValueError:
        return b""


def _middleware() -> list[Middleware]:
    return [
        Middleware(BaseHTTPMiddleware, dispatch=http_error_translator),
        Middleware(ProtobufTranslationMiddleware),
        Middleware(NodeAuthMiddleware),
    ]


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
