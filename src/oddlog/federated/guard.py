"""Who may ask the server what: looked at before anything of a request is read.

Flower lets in who signs the time with a registered key, and answers the same whatever was wrong. So this stands in
front of its Fleet API: the eight requests that sites need and no other, from keys of the roster only, each request and
each answer within bounds. And it says who was turned away, and why.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from hashlib import sha256
from typing import Any

from oddlog.errors import MissingExtraError

try:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from flwr.common.constant import SYSTEM_TIME_TOLERANCE, TIMESTAMP_HEADER, TIMESTAMP_TOLERANCE
    from flwr.supercore.primitives.asymmetric import bytes_to_public_key, verify_signature
except ImportError as error:
    raise MissingExtraError("A federation on several machines", "federated") from error

PUBLIC_KEY = "flwr-public-key"
"""The header that Flower's nodes send their key in."""
SIGNATURE = "flwr-signature"
"""The header with their signature of the time."""
REASON = "x-oddlog-reason"
"""The header that says why a site was turned away; Flower's own answer is the same for every reason."""
UNREGISTERED, CONNECTED, UNSIGNED = "unregistered", "connected", "unsigned"
TOO_LARGE, TOO_MUCH, NOT_SERVED, NOT_OWN = "too-large", "too-much", "not-served", "not-own"
MOST_BYTES = 1 << 26
"""Of one request: a network of 16 million weights. What a site may leave in answer to a question is less (`Guard`)."""
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

WHY = {
    UNREGISTERED: "its key is not in the roster",
    CONNECTED: "another process is connected with this identity",
    UNSIGNED: "its signature does not hold; its clock may be minutes off",
    TOO_LARGE: f"sent more than {MOST_BYTES >> 20} MiB at once",
    TOO_MUCH: "sent more than the answer may hold",
    NOT_SERVED: "asked for what is not served",
    NOT_OWN: "answered in the name of another site",
}
"""What is said of who was turned away, by reason."""


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
        public = decoded(headers.get(PUBLIC_KEY, b""))
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
    try:
        load_pem_public_key(public)
    except ValueError:
        return "somebody without a key"
    return f"a stranger (key {sha256(public).hexdigest()[:12]})"


def decoded(header: bytes) -> bytes:
    """Return the public key that a header holds; empty if none."""
    try:
        return base64.b64decode(header, validate=True)
    except ValueError:
        return b""
