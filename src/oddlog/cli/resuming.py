"""The file that says where reading stopped, and what was open then."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oddlog.errors import InputError, ModelError

if TYPE_CHECKING:
    from oddlog.pipeline.live.streaming import Streaming
    from oddlog.types import State

_VERSION = 1
_HINT = "Name another file, or remove it to begin anew."


def read(path: Path) -> State | None:
    """Return what was noted; None if there is no such file yet.

    Raises
    ------
    InputError
        If it cannot be read, or is none of ours.

    """
    from oddlog.pipeline.learning.checkpointing import unpacked

    if not path.exists():
        return None
    try:
        state = unpacked(path.read_bytes())
        version = state.meta["oddlog_resume"]
    except (ModelError, OSError, KeyError) as error:
        raise InputError(f"{path} does not say where reading stopped.", _HINT) from error
    if version != _VERSION:
        raise InputError(f"{path} was written by another version of oddlog.", _HINT)
    return state


def places_of(state: State | None) -> dict[str, Any]:
    """Return where files are to be resumed."""
    return {} if state is None else state.meta["places"]


def restore(stream: Streaming, state: State | None) -> list[str]:
    """Have a new stream go on with what was open; return what a reader should know."""
    from oddlog.types import State

    if state is None:
        return []
    kept = State(state.arrays, state.meta["stream"])
    try:
        if kept.meta["model"] != stream.model.id:
            stream.inherit(kept)
            return ["Reading goes on where it stopped, but with another model: windows that were open begin anew."]
        stream.restore(kept)
    except ModelError as error:
        return [f"Reading goes on where it stopped. {error.message} Windows that were open begin anew."]
    return []


def write(path: Path, stream: Streaming, places: dict[str, Any]) -> None:
    """Note where reading is and what is open, aside first and then renamed.

    Raises
    ------
    InputError
        If the file cannot be written.

    """
    from oddlog.pipeline.learning.checkpointing import packed
    from oddlog.types import State

    state = stream.state()
    content = packed(State(state.arrays, {"oddlog_resume": _VERSION, "places": places, "stream": state.meta}))
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.", "Give another place with --resume.") from error
    finally:
        aside.unlink(missing_ok=True)
