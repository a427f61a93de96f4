"""A site's end: what a SuperNode of Flower's does, in one process, for one app that is installed here.

Flower's own `flower-supernode` runs, for each message, whatever program the server has sent along, in a process of its
own. Here the message is answered by this process, by `oddlog.federated.site` and nothing else: a server can ask, but
not make the site do what it does not know. And nothing is read or imported twice.
"""

from __future__ import annotations

import logging
import re
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oddlog.errors import ConfigError, MissingExtraError, OddlogError
from oddlog.federated.flower import RECORD
from oddlog.federated.guard import CONNECTED, REASON, TOO_LARGE, TOO_MUCH, UNREGISTERED, UNSIGNED
from oddlog.federated.identity import SiteKey

try:
    import httpx
    from flwr.app import Message
    from flwr.app.message import remove_content_from_message
    from flwr.common.serde import message_from_proto, message_to_proto
    from flwr.proto.fleet_pb2 import (
        ActivateNodeRequest,
        DeactivateNodeRequest,
        PullMessagesRequest,
        PushMessagesRequest,
    )
    from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
    from flwr.proto.node_pb2 import Node
    from flwr.supercore.inflatable.inflatable_object import (
        get_all_nested_objects,
        get_object_tree,
        no_object_id_recompute,
    )
    from flwr.supercore.inflatable.inflatable_protobuf_utils import (
        make_confirm_message_received_fn_protobuf,
        make_pull_object_fn_protobuf,
        make_push_object_fn_protobuf,
    )
    from flwr.supercore.inflatable.inflatable_utils import (
        ObjectPullError,
        ObjectPushError,
        pull_and_inflate_object_from_tree,
        push_objects,
    )
    from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes
    from flwr.supernode.fleet_http_client import FleetHttpClient
    from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
except ImportError as error:
    raise MissingExtraError("A site of a federation", "federated") from error

BEAT_S = 10.0
"""Between two signs of life, the least that Flower takes; twice as long without one, and a site counts as gone."""
POLL_S = 0.5
"""Between two questions for work. A secure sum takes five answers one after the other."""
RETRY_S = 2.0
WORTH_TELLING = 5  # tries in vain

log = logging.getLogger("oddlog.federated")


class LostError(Exception):
    """The server cannot be reached now; nobody's mistake."""


class SuperNode:
    """Connects a site to its server and answers what it asks, for as long as `answer` wants more.

    Parameters
    ----------
    server : str
        ``host:port``.
    authority : Path or None
        Certificate of whoever has signed the server's; None trusts the usual authorities.
    key : SiteKey
        Says who the site is.
    sleep : callable
        Waits so many seconds.

    Raises
    ------
    ConfigError
        If the certificate or the address makes no sense.

    """

    def __init__(
        self, server: str, authority: Path | None, key: SiteKey, sleep: Callable[[float], Any] = time.sleep
    ) -> None:
        logging.getLogger("flwr").setLevel(logging.CRITICAL)
        logging.getLogger("httpx").setLevel(logging.WARNING)
        _, colon, port = server.rpartition(":")
        if not colon or not port.isdigit():
            raise ConfigError(f"'{server}' is no server.", "Write its name and port: fed.example.com:9092")
        self.server, self.authority, self.key, self.sleep = server, authority, key, sleep
        private = key.connection
        self._public = public_key_to_bytes(private.public_key())
        signing = [RuntimeVersionHttpInterceptor(component_name="SuperNode")]
        signing.append(NodeAuthHttpInterceptor(private, private.public_key()))
        self._client = FleetHttpClient(f"https://{server}", interceptors=signing, verify=_trusting(authority))
        self._node: Any = None
        self._over = threading.Event()

    def run(self, answer: Callable[[Message], tuple[Message, bool]]) -> None:
        """Answer messages until one was the last.

        Parameters
        ----------
        answer : callable
            Given a message; returns its answer, and whether it was the last.

        Raises
        ------
        UserError
            If the server does not know this site, or is not who it should be.

        """
        beats = threading.Thread(target=self._beat, daemon=True)
        beats.start()
        try:
            self._loop(answer)
        except BaseException:  # also Ctrl-C: the server need not wait for this site
            self._leave()
            raise
        finally:
            self._over.set()
            beats.join()
            self._client.close()

    def _loop(self, answer: Callable[[Message], tuple[Message, bool]]) -> None:
        lost = 0
        while True:
            try:
                if self._node is None:
                    self._connect()
                done = self._work(answer)
                if lost >= WORTH_TELLING:
                    log.warning("Connected to %s again.", self.server)
                if done:
                    return
                lost = 0
                self.sleep(POLL_S)
            except LostError as error:
                lost += 1
                log.debug("lost", exc_info=True)
                if lost == WORTH_TELLING:
                    log.warning("%s does not let this site work (%s); it is tried until it does.", self.server, error)
                self.sleep(RETRY_S)

    def _connect(self) -> None:
        asked = ActivateNodeRequest(public_key=self._public, heartbeat_interval=BEAT_S)
        done = self._call(self._client.ActivateNode, asked)
        self._node = Node(node_id=done.node_id)
        log.info("Connected to %s as %s.", self.server, self.key.name)

    def _work(self, answer: Callable[[Message], tuple[Message, bool]]) -> bool:
        """Answer one message, if there is one; return whether it was the last."""
        got = self._call(self._client.PullMessages, PullMessagesRequest(node=self._node))
        if not got.messages_list:
            return False
        message = self._whole(message_from_proto(got.messages_list[0]), got.message_object_trees[0])
        if message is None or RECORD not in message.content:
            return False
        reply, last = answer(message)
        try:
            self._send(reply)
        except LostError:
            if last:
                log.warning("The server has gone before it was told that this site has finished.")
                return True
            raise
        return last

    def _whole(self, message: Message, tree: Any) -> Message | None:
        """Return the message with its contents, None where they have gone meanwhile."""
        number = message.metadata.run_id
        client = self._client
        try:
            whole = pull_and_inflate_object_from_tree(
                tree,
                make_pull_object_fn_protobuf(self._calling(client.PullObject), self._node, number),
                make_confirm_message_received_fn_protobuf(
                    self._calling(client.ConfirmMessageReceived), self._node, number
                ),
                return_type=Message,
            )
        except ObjectPullError:
            return None
        whole.metadata.__dict__["_message_id"] = tree.object_id
        return whole

    def _send(self, reply: Message) -> None:
        reply.metadata.__dict__["_message_id"] = reply.object_id
        with no_object_id_recompute():
            asked = PushMessagesRequest(
                node=self._node,
                messages_list=[message_to_proto(remove_content_from_message(reply))],
                message_object_trees=[get_object_tree(reply)],
            )
            done = self._call(self._client.PushMessages, asked)
            push = make_push_object_fn_protobuf(
                self._calling(self._client.PushObject), self._node, reply.metadata.run_id, done.session_id
            )
            try:
                push_objects(get_all_nested_objects(reply), push, object_ids_to_push=set(done.objects_to_push))
            except ObjectPushError:
                log.warning("An answer came too late for the server.")

    def _calling(self, method: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda asked: self._call(method, asked)

    def _call(self, method: Callable[[Any], Any], asked: Any) -> Any:
        """Call the server; what is nobody's mistake is a `LostError`, what is this site's a `UserError`."""
        try:
            return method(asked)
        except httpx.HTTPStatusError as error:
            raise self._turned_away(error.response) from error
        except (httpx.TransportError, ValueError, RuntimeError) as error:  # the latter: an answer that is none
            if (wrong := _certificate_error(error)) is not None:
                raise _not_trusted(self.server, self.authority, wrong) from error
            raise LostError(_plain(error) or type(error).__name__) from error

    def _turned_away(self, response: Any) -> Exception:
        reason, who = response.headers.get(REASON, ""), f"{self.server} does not let {self.key.name} in"
        self._node = None  # whatever it was: it begins by connecting anew
        if reason == UNREGISTERED:
            return TurnedAwayError(
                f"{who}: its key is not in the roster.", "Give the server what says: oddlog federate keys"
            )
        if reason == UNSIGNED:
            return TurnedAwayError(f"{who}: its signature does not hold.", "Is this machine's clock right?")
        if reason in {TOO_LARGE, TOO_MUCH}:
            return TurnedAwayError(f"{self.server} takes no answer as large as that of {self.key.name}.")
        if reason == CONNECTED:
            return LostError(f"another process is, or was a moment ago, connected as {self.key.name}")
        return LostError(f"it answers {response.status_code}")

    def _beat(self) -> None:
        """Give signs of life, also while the site trains."""
        while not self._over.wait(BEAT_S * 0.8):
            node = self._node
            if node is not None:
                try:
                    self._client.SendNodeHeartbeat(SendNodeHeartbeatRequest(node=node, heartbeat_interval=BEAT_S))
                except Exception:  # noqa: BLE001 - the other thread meets the same, and tells it
                    log.debug("A sign of life did not arrive.")

    def _leave(self) -> None:
        """Say that this site is gone. Whose last answer waits to be fetched must not: it would be thrown away."""
        if self._node is not None:
            try:
                self._client.DeactivateNode(DeactivateNodeRequest(node_id=self._node.node_id))
            except (httpx.HTTPError, RuntimeError, ValueError):
                log.debug("The server was gone first.")


class TurnedAwayError(ConfigError):
    """The server does not let this site in."""


class NotTrustedError(ConfigError):
    """The server is not who it should be."""


def _trusting(authority: Path | None) -> ssl.SSLContext:
    if authority is None:
        return ssl.create_default_context()
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=str(authority))
    except OSError as error:
        raise ConfigError(
            f"{authority} is no certificate of an authority: {_plain(error)}.",
            "Give the ca.pem of the server's administrator.",
        ) from error
    return context


def _plain(error: Exception) -> str:
    """Return what an error says without its number, its code and its place in OpenSSL's sources.

    >>> _plain(OSError("[Errno 111] Connection refused"))
    'Connection refused'
    >>> _plain(OSError("[X509: NO_CERTIFICATE_OR_CRL_FOUND] no certificate or crl found (_ssl.c:4154)"))
    'no certificate or crl found'
    """
    said = str(getattr(error, "strerror", "") or error)
    return re.sub(r"^\[[^]]*\] | \(_ssl\.c:\d+\)$", "", said)


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _not_trusted(server: str, authority: Path | None, wrong: ssl.SSLCertVerificationError) -> OddlogError:
    by = f"by {authority}" if authority is not None else "by an authority this machine knows"
    return NotTrustedError(
        f"The certificate of {server} cannot be trusted {by}: {wrong.verify_message}.",
        "Give the right one: --authority ca.pem",
    )
