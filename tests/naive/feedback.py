"""What holds of a list of answers, found the slow way: by asking every answer, from the last to the first."""

from __future__ import annotations

from datetime import datetime

from oddlog.feedback import Answer


def held(done: list[tuple[str, Answer | int]], pattern: str, now: datetime) -> Answer | None:
    """Return the answer that holds for `pattern` at `now`, given what was done: ("add", answer), ("undo", number)."""
    given = [what for word, what in done if word == "add" and isinstance(what, Answer)]
    undone = {what for word, what in done if word == "undo"}
    for number in range(len(given), 0, -1):
        answer = given[number - 1]
        if number in undone or pattern not in answer.covers:
            continue
        if answer.answer == "mute" and answer.until is not None and answer.until <= now:
            continue
        return answer
    return None
