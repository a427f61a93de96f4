"""The thread that hands incidents over to sinks: in order, again where they fail, and never without an end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from oddlog.errors import SinkRefusedError, SinkUnavailableError
from oddlog.pipeline.learning.checkpointing import incident_of
from oddlog.store import Letter, Store, StoreUnavailableError
from oddlog.store.letters import FARTHEST_S
from oddlog.types import LiveIncident, Sink

WAIT_S = 0.25
LONGEST_WAIT_S = 300.0  # between two tries
OLDEST_S = 86_400.0  # what could not be handed over for a day goes to the dead letters …
LEAST_TRIES = 20  # … if it was tried so often: a clock that was set to another day is no day
AGAIN_S = 2.0  # while there is no store
_log = logging.getLogger("oddlog")


class Dispatcher:
    """Hands over what the store holds for sinks.

    Parameters
    ----------
    store : Store
        Where letters wait.
    sinks : sequence of Sink
        By name; letters for others stay where they are.
    clock : callable
        Seconds since the epoch.

    """

    def __init__(self, store: Store, sinks: Sequence[Sink], clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock
        self._sinks = {sink.name: sink for sink in sinks}
        self._not_before: dict[str, float] = {}  # sink -> when it is asked again
        self._unnoted: set[int] = set()  # letters that were sent, and nobody could note it
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="oddlog-sinks", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the letter in hand."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        failed = False
        while not self._stop.is_set():
            try:
                done, wait_s = self.turn(), WAIT_S
            except StoreUnavailableError as error:
                if not failed:
                    _log.warning("Nobody is told of incidents just now: %s", error)
                failed, done, wait_s = True, 0, AGAIN_S
            else:
                failed = False
            if not done:
                self._stop.wait(wait_s)

    def turn(self) -> int:
        """Hand over what is due; return how many letters were taken up."""
        now = self._clock()
        # What lies farther ahead than anything is put off was noted before the clock was set back.
        self._not_before = {name: when for name, when in self._not_before.items() if when <= now + FARTHEST_S}
        awake = [name for name in self._sinks if self._not_before.get(name, 0.0) <= now]
        letters = self._store.due(awake, now) if awake else []
        for letter in letters:
            if self._stop.is_set():
                break
            if self._not_before.get(letter.sink, 0.0) <= now:
                self._send(letter, now)
        return len(letters)

    def _send(self, letter: Letter, now: float) -> None:
        if letter.number in self._unnoted:
            self._note(letter.number, now)
            return
        told, change = letter.told, letter.change
        if not change:
            self._store.spare(letter.number)
            return
        try:
            live = LiveIncident(incident_of(told["incident"]), change, told["provisional"])
            self._sinks[letter.sink].send(live)
        except SinkUnavailableError as error:
            wait = max(error.retry_after_s, min(2.0**letter.tries, LONGEST_WAIT_S))
            if now - letter.written > OLDEST_S and letter.tries >= LEAST_TRIES:
                self._store.bury(letter.number, f"{error.message} Given up after a day.")
                return
            if not letter.tries:
                _log.warning("%s", error)
            self._not_before[letter.sink] = now + wait
            self._store.put_off(letter.number, now + wait, error.message)
        except SinkRefusedError as error:
            _log.warning("%s The incident %s goes to the dead letters.", error, told["incident"]["id"])
            self._store.bury(letter.number, error.message)
        except Exception as error:  # noqa: BLE001 - a bug in one sink must not stop the others
            _log.exception("The sink %s failed", letter.sink)
            self._store.bury(letter.number, f"{type(error).__name__}: {error}")
        else:
            self._unnoted.add(letter.number)
            self._note(letter.number, now)

    def _note(self, number: int, now: float) -> None:
        """Note that a letter was sent; where the store has gone in between, once it is back: it is not sent twice."""
        self._store.sent(number, now)
        self._unnoted.discard(number)
