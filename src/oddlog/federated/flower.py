"""Server and site as Flower's ServerApp and ClientApp, and a Grid that runs both in this process.

::

    Federation ── FlowerLink ── Grid ─┬─ InProcessGrid ── ClientApp ── Site       simulate, tests
                                      └─ SuperLink, TLS, SuperNode ── ClientApp ── Site

The apps are the same in both; what a note is, Flower does not know: one value of bytes in a `ConfigRecord`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from oddlog.errors import MissingExtraError, OddlogError
from oddlog.federated.history import GONE, Asked
from oddlog.federated.site import Kind, Site
from oddlog.federated.wire import MOST_BYTES, DamagedNoteError, Note

try:
    from flwr.app import ConfigRecord, Context, Message, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
    from flwr.serverapp import Grid
    from flwr.supercore.task_identity import TaskIdentity
except ImportError as error:
    raise MissingExtraError("A federation", "federated") from error

RECORD, NOTE = "oddlog", "note"
TYPES: Final[Mapping[Kind, str]] = {
    "join": "query.join",
    "leave": "query.leave",
    "begin": "query.begin",
    "learn": "train.learn",
    "advertise": "query.advertise",
    "share": "query.share",
    "agree": "query.agree",
    "unmask": "query.unmask",
    "calibrate": "query.calibrate",
    "patterns": "query.patterns",
    "finish": "train.finish",
}
"""What Flower calls each kind of message."""
UNREACHED: Final = {
    ErrorCode.MESSAGE_UNAVAILABLE: "its answer was cut off",
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE: "no answer in time",
    ErrorCode.NODE_UNAVAILABLE: GONE,
}
REFUSED: Final = {
    "NoSecretError": "it was given no shared secret",
    "OtherVersionError": "another version of oddlog",
    "TooLittlePrivacyError": "it gives less away of a window than the plan asks for",
    "TooLittleDataError": "too few lines or windows to learn from",
    "InputError": "no logs that can be read",
    "FormatError": "logs in no format that can be read",
}
"""What is said of refusals, by the kind of error."""
SECONDS_LONGER = 5.0
"""A message lives so much longer than the server waits for its answer."""

log = logging.getLogger("oddlog.federated")
Clock = Callable[[], float]


def client_app(
    site_of: Callable[[Context], Site], keep: Callable[[Site, Context], None] = lambda _site, _context: None
) -> ClientApp:
    """Return the app of a site: `site_of` finds the site of a node's context, `keep` puts it by after each answer."""
    app = ClientApp()

    def handler(kind: Kind) -> Callable[[Message, Context], Message]:
        def handle(message: Message, context: Context) -> Message:
            return packed(_answer(kind, message, context, site_of, keep), reply_to=message)

        return handle

    for kind, name in TYPES.items():
        category, action = name.split(".")
        getattr(app, category)(action)(handler(kind))
    return app


def _answer(
    kind: Kind,
    message: Message,
    context: Context,
    site_of: Callable[[Context], Site],
    keep: Callable[[Site, Context], None],
) -> Note:
    """Return the site's answer. Of an error only its kind is sent: what it says may quote a log."""
    site = None
    try:
        site = site_of(context)
        answer = site.answer(kind, note_of(message))
        keep(site, context)  # before it is sent: a share that was given away must not be given twice
    except OddlogError as error:
        if site is None or error is not site.ends:  # that one is told where it ends
            log.warning("%s: %s", kind, error)
        return Note({"refused": type(error).__name__})
    except Exception as error:
        log.exception("%s failed", kind)
        return Note({"refused": type(error).__name__})
    return answer


class FlowerLink:
    """Reaches the sites through Flower's Grid.

    Parameters
    ----------
    grid : Grid
        Flower's, or `InProcessGrid`.
    fewest : int
        So many nodes are waited for.
    wait_s : float
        How long.
    clock, sleep : callable
        Seconds, and how to wait for some.

    """

    def __init__(
        self,
        grid: Grid,
        *,
        fewest: int = 2,
        wait_s: float = 0.0,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.grid, self.fewest, self.wait_s = grid, fewest, wait_s
        self.clock, self.sleep = clock, sleep

    def sites(self, *, wait: bool = True) -> tuple[str, ...]:
        """Return the nodes that are there; with `wait`, once there are enough or the wait is over."""
        until = self.clock() + (self.wait_s if wait else 0.0)
        while True:
            found = tuple(sorted(str(node) for node in self.grid.get_node_ids()))
            if len(found) >= self.fewest or self.clock() >= until:
                return found
            self.sleep(1.0)

    def ask(self, kind: Kind, notes: Mapping[str, Note], deadline_s: float, most_bytes: int = MOST_BYTES) -> Asked:
        """Return what came in time, and was no larger than allowed; nothing else is unpacked."""
        begun = self.clock()
        if hasattr(self.grid, "allow"):
            self.grid.allow(map(int, notes), most_bytes)
        written = {address: note.written() for address, note in notes.items()}
        ttl = deadline_s + SECONDS_LONGER
        messages = [
            Message(_record(content), int(address), TYPES[kind], ttl=ttl) for address, content in written.items()
        ]
        came: dict[str, Note] = {}
        failed = dict.fromkeys(notes, f"no answer in {deadline_s:g} s")
        up: dict[str, int] = {}
        for reply in self.grid.send_and_receive(messages, timeout=deadline_s):
            address = _answers(reply, messages)
            if address not in failed:
                continue
            if reply.has_error():
                code = reply.error.code
                failed[address] = UNREACHED.get(code, f"failed at the site (Flower's error {code})")
                continue
            try:
                up[address] = len(_content(reply))
                if up[address] > most_bytes:
                    failed[address] = f"an answer of {up[address]:,} bytes, {most_bytes:,} are allowed"
                    continue
                note = note_of(reply)
            except DamagedNoteError as error:
                failed[address] = str(error)
                continue
            if "refused" in note.facts:
                kind_of = str(note.facts["refused"])
                failed[address] = REFUSED.get(kind_of, f"refused by the site ({kind_of})")
                continue
            came[address] = note
            del failed[address]
        down = {address: len(content) for address, content in written.items()}
        return Asked(came, failed, sum(up.values()), sum(down.values()), self.clock() - begun, up, down)


class InProcessGrid(Grid):
    """Runs the app of each node when it is sent a message, one after the other.

    Parameters
    ----------
    app : ClientApp
        Of all nodes.
    nodes : mapping of int to mapping
        The configuration of each node, by its id.
    clock : callable
        Seconds; an answer that takes longer than the timeout has not come.
    passing : callable, optional
        Given each message and its answer, returns the answer that arrives, or None: what goes wrong on the way.

    """

    def __init__(
        self,
        app: ClientApp,
        nodes: Mapping[int, Mapping[str, Any]],
        clock: Clock = time.monotonic,
        passing: Callable[[Message, Message], Message | None] = lambda _asked, answer: answer,
    ) -> None:
        self.app, self.clock, self.passing = app, clock, passing
        self.contexts = {
            node: Context(0, node, dict(config), RecordDict(), run_config={}) for node, config in nodes.items()
        }
        self._answers: dict[str, Message] = {}
        self._n = 0
        # Messages name the task they come from; a SuperLink says which it is, here there is none but this.
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 0, 0, SUPERLINK_NODE_ID

    def set_run(self, run: Any) -> None:
        """Take over a run; there is only one here."""

    @property
    def run(self) -> Any:
        """There is only one run here."""
        return None

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Return a message, as Flower's own grids do for callers of before `Message`."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the nodes."""
        return list(self.contexts)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Run the app of each message's node."""
        return [self._push(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the answers that arrived, once."""
        return [self._answers.pop(one) for one in message_ids if one in self._answers]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Return the answers; each node has the whole `timeout`, as it would beside the others."""
        found = []
        for message in messages:
            begun = self.clock()
            came = self.pull_messages([self._push(message)])
            if timeout is None or self.clock() - begun <= timeout:
                found += came
        return found

    def _push(self, message: Message) -> str:
        self._n += 1
        message.metadata.__dict__["_message_id"] = str(self._n)  # as the SuperLink does
        answer = self.passing(message, self.app(message, self.contexts[message.metadata.dst_node_id]))
        if answer is not None:
            self._answers[str(self._n)] = answer
        return str(self._n)


def _answers(reply: Message, messages: Iterable[Message]) -> str:
    """Return the address that was asked what `reply` answers; what Flower says of a site comes from no site."""
    number = reply.metadata.reply_to_message_id
    asked = (str(one.metadata.dst_node_id) for one in messages if one.metadata.message_id == number)
    return next(asked, "")


def note_of(message: Message) -> Note:
    """Return the note in a message; what holds none is damaged."""
    return Note.read(_content(message))


def _content(message: Message) -> bytes:
    try:
        content = message.content[RECORD][NOTE]
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedNoteError("a message without a note") from error
    if not isinstance(content, bytes):
        raise DamagedNoteError("a message whose note is not bytes")
    return content


def _record(content: bytes) -> RecordDict:
    return RecordDict({RECORD: ConfigRecord({NOTE: content})})


def packed(note: Note, reply_to: Message) -> Message:
    """Return a note as the answer to a message."""
    return Message(_record(note.written()), reply_to=reply_to)
