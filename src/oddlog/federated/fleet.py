"""Flower's Grid on the state that its Fleet API serves: questions put where sites fetch them, answers as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from oddlog.errors import MissingExtraError

try:
    from flwr.app import Message
    from flwr.app.message import remove_content_from_message
    from flwr.supercore.inflatable.inflatable_object import (
        get_all_nested_objects,
        get_object_tree,
        iterate_object_tree,
        no_object_id_recompute,
    )
    from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
    from flwr.supercore.object_store import NoObjectInStoreError
    from flwr.superlink.grid.inmemory_grid import InMemoryGrid
except ImportError as error:
    raise MissingExtraError("The server of a federation", "federated") from error


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
