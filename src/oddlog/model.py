"""A fitted model: what it holds, and how it lies on disk.

::

    app.model/
    ├── model.json         what was learned from, the options, each part's settings
    ├── templates.json     the message types: text, level, count, keys
    ├── *.safetensors      the arrays of each part (the truth)
    ├── *.onnx             graphs derived from them, for inference
    └── manifest.json      format version and SHA-256 of each file; the model's id is the SHA-256 of this

Nothing in it is executed when it is read. A model is written beside its destination and then renamed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from oddlog import __version__
from oddlog.errors import ModelError, OddlogError
from oddlog.types import Context, Number, State, Templates, Windows

if TYPE_CHECKING:
    from oddlog.pipeline.judging.detection import Detection
    from oddlog.pipeline.judging.lines import EventView
    from oddlog.pipeline.judging.views import View
    from oddlog.pipeline.rates import RatesView

FORMAT_VERSION = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Model:
    """What was learned to be usual. Immutable; `id` is the SHA-256 of its manifest.

    Attributes
    ----------
    context : Context
        Templates, services and seed, frozen before any detector was fitted.
    views : tuple of View
        One for each way of cutting the events into windows, with its detectors and its calibration.
    events : EventView
        What scores single lines.
    reading : mapping
        How lines became records: formats found, the session identifier, filters.
    training : mapping
        What it was learned from: lines, time span, windows, what was trimmed and left out.
    made_by : str
        Version of oddlog that learned it.
    rates : RatesView or None
        How many lines there usually are by minute; None where that is not watched.
    memory : mapping of State
        What it remembers of its training, for `oddlog.update` to go on from; see `pipeline.learning.memory`.

    """

    context: Context
    views: tuple[View, ...]
    events: EventView
    reading: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    made_by: str = __version__
    rates: RatesView | None = None
    memory: Mapping[str, State] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        """SHA-256 of the manifest, in hex."""
        return hashlib.sha256(_manifest(self._files())).hexdigest()

    def score(self, windows: Windows, view: str = "") -> pl.DataFrame:
        """Return a verdict (`types.SCORES`) for each of `windows` [w].

        Parameters
        ----------
        windows : Windows
            Windows of this model's templates.
        view : str
            The view they were cut by; the first one if not given.

        """
        chosen = next((v for v in self.views if v.name == view), None) if view else self.views[0]
        if chosen is None:
            there = ", ".join(v.name for v in self.views)
            raise ModelError(f"The model has no view '{view}'.", f"It has: {there}.")
        return chosen.verdicts(windows)

    def detect(self, paths: str | Path | Sequence[str | Path], **options: Any) -> Detection:
        """Say what is odd in the logs at `paths`; see `oddlog.pipeline.detect`."""
        from oddlog.pipeline import detect  # noqa: PLC0415 - the pipeline imports this module

        return detect(self, paths, **options)

    def save(self, folder: str | Path) -> None:
        """Write the model to `folder`, aside first and then renamed; a model that is there is replaced.

        Raises
        ------
        ModelError
            If `folder` holds something that is no model, or cannot be written.

        """
        folder = Path(folder)
        check_destination(folder)
        files = self._files()
        files[MANIFEST] = _manifest(files)
        work: Path | None = None
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            aside = work / "new"
            aside.mkdir()
            for name, content in files.items():
                (aside / name).write_bytes(content)
            if folder.is_dir():
                folder.rename(work / "old")
            aside.rename(folder)
        except OSError as error:
            raise ModelError(
                f"The model cannot be written to {folder}: {error.strerror or error}.",
                "Free some space or give another place with -m. Nothing half-written was left.",
            ) from error
        finally:
            if work is not None:
                if (work / "old").is_dir() and not folder.exists():
                    (work / "old").rename(folder)  # stopped between the two renames
                shutil.rmtree(work, ignore_errors=True)

    def _files(self) -> dict[str, bytes]:
        templates = self.context.templates
        parts = {
            "events": self.events.state(),
            "templates": State({name: getattr(templates, name) for name in ("key", "row", "embedding")}),
        }
        for view in self.views:
            parts |= view.states()
        if self.rates is not None:
            parts |= self.rates.states()
        parts |= self.memory
        files: dict[str, bytes] = {"templates.json": _templates_json(templates)}
        for part, state in parts.items():
            if state.arrays:
                arrays = {name: np.ascontiguousarray(state.arrays[name]) for name in sorted(state.arrays)}
                files[f"{part}.safetensors"] = save_arrays(arrays)
            files |= {f"{part}.{name}.onnx": graph for name, graph in state.graphs.items()}
        head = {
            "format_version": FORMAT_VERSION,
            "oddlog": self.made_by,
            "seed": self.context.seed,
            "services": self.context.services,
            "numbers": [asdict(number) for number in self.context.numbers],
            "views": [view.name for view in self.views],
            "reading": self.reading,
            "training": self.training,
            "parts": {part: state.meta for part, state in sorted(parts.items())},
        }
        files["model.json"] = orjson.dumps(head, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)
        return files


def check_destination(folder: str | Path) -> None:
    """Raise ModelError if a model cannot be written to `folder`: said before hours of learning, not after."""
    folder = Path(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file()):
        raise ModelError(
            f"{folder} exists and is no oddlog model, so it is not overwritten.",
            "Give another place with -m.",
        )
    there = next(parent for parent in folder.absolute().parents if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        why = "no permission there" if there.is_dir() else "that is no folder"
        raise ModelError(f"No model can be written to {folder}, in {there}: {why}.", "Give another place with -m.")


def load(folder: str | Path) -> Model:
    """Read a model, checking each file against the manifest.

    Raises
    ------
    ModelError
        If it is missing, of another version, or differs from its manifest in one byte.

    """
    from oddlog.pipeline.judging.lines import EventView  # noqa: PLC0415 - the same
    from oddlog.pipeline.judging.views import View  # noqa: PLC0415 - the same
    from oddlog.pipeline.rates import RatesView  # noqa: PLC0415 - views import the stages, loading needs them

    folder = Path(folder)
    files = _checked(folder)
    try:
        head = orjson.loads(files["model.json"])
        states = {part: _state(part, meta, files) for part, meta in head["parts"].items()}
        templates = _templates(files["templates.json"], states["templates"].arrays)
        numbers = tuple(Number(**number) for number in head["numbers"])
        context = Context(templates, numbers, tuple(head["services"]), head["seed"])
        views = tuple(View.from_states(name, states, context) for name in head["views"])
        events = EventView.from_state(states["events"])
        rates = RatesView.from_states(states)
        memory = {part: state for part, state in states.items() if part.split(".")[0] == "memory"}
        return Model(context, views, events, head["reading"], head["training"], head["oddlog"], rates, memory)
    except OddlogError:
        raise
    except Exception as error:
        # The files are what was saved, so another program or version wrote them; anything may break in any part.
        raise ModelError(
            f"The model {folder} is not complete ({type(error).__name__}: {error}).",
            "Learn it anew with: oddlog fit",
        ) from error


def require_model(folder: Path) -> None:
    """Raise ModelError if `folder` holds no model at all."""
    if not (folder / MANIFEST).is_file():
        if not folder.exists():
            raise ModelError(f"{folder} does not exist.", f"Learn one first: oddlog fit LOGS -m {folder}")
        what = f"it has no {MANIFEST}" if folder.is_dir() else "it is a file, and a model is a folder"
        raise ModelError(f"{folder} is no model: {what}.", "Name a folder that oddlog fit wrote.")


def _checked(folder: Path) -> dict[str, bytes]:
    """Return every file of the model after comparing it with the manifest."""
    require_model(folder)
    try:
        content = (folder / MANIFEST).read_bytes()
        manifest = orjson.loads(content)
        version, sums = manifest["format_version"], dict(manifest["files"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"The manifest of {folder} cannot be read.", "Learn the model anew.") from error
    if version != FORMAT_VERSION:
        raise ModelError(
            f"{folder} is of model format {version}; this oddlog ({__version__}) reads format {FORMAT_VERSION}.",
            "Learn it anew with: oddlog fit",
        )
    files: dict[str, bytes] = {}
    for name, expected in sums.items():
        if Path(name).name != name:
            raise ModelError(f"The manifest of {folder} names a file outside of it: {name}.", "Do not use it.")
        try:
            files[name] = (folder / name).read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise ModelError(f"{folder / name} is missing or unreadable.", "Learn the model anew.") from error
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise ModelError(
                f"{folder / name} is not what was saved: its SHA-256 differs from the manifest.",
                "Restore it from a copy, or learn the model anew.",
            )
    if content != _manifest(files):
        raise ModelError(
            f"{folder / MANIFEST} is not what was saved.", "Restore it from a copy, or learn the model anew."
        )
    return files


def _manifest(files: Mapping[str, bytes]) -> bytes:
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    content = {"format_version": FORMAT_VERSION, "files": sums}
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def _templates_json(templates: Templates) -> bytes:
    """Return text, level and count by row, for people and other programs to read."""
    columns = zip(templates.text, templates.level.tolist(), templates.count.tolist(), strict=True)
    rows = [{"text": text, "level": level, "count": count} for text, level, count in columns]
    return orjson.dumps(rows, option=orjson.OPT_APPEND_NEWLINE)


def _templates(content: bytes, arrays: Mapping[str, NDArray[Any]]) -> Templates:
    rows = orjson.loads(content)
    return Templates(
        text=tuple(row["text"] for row in rows),
        level=np.array([row["level"] for row in rows], np.uint8),
        count=np.array([row["count"] for row in rows], np.int64),
        key=arrays["key"],
        row=arrays["row"],
        embedding=arrays["embedding"],
    )


def _state(part: str, meta: Mapping[str, Any], files: Mapping[str, bytes]) -> State:
    content = files.get(f"{part}.safetensors")
    prefix, suffix = f"{part}.", ".onnx"
    graphs = {
        name.removeprefix(prefix).removesuffix(suffix): graph
        for name, graph in files.items()
        if name.startswith(prefix) and name.endswith(suffix)
    }
    return State(load_arrays(content) if content else {}, meta, graphs)
