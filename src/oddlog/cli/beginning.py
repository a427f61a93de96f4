"""How `serve` and `watch` come to their model: the one that was named, the current one, or one learned first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oddlog.pipeline.live.beginning import Beginning
    from oddlog.pipeline.live.streaming import Streaming
    from oddlog.pipeline.live.versions import Versions
    from oddlog.types import Tally


class Opening:
    """Opens the model that the service judges with.

    Parameters
    ----------
    model : Path or None
        The one that was named; it stays as long as the service runs. None: the current one in `data`.
    data : Path
        What the service keeps.
    exclude, lateness_s, tally
        Of the streams.

    """

    def __init__(self, model: Path | None, data: Path, exclude: str, lateness_s: float, tally: Tally) -> None:
        from oddlog.model import require_model
        from oddlog.pipeline.live.versions import Versions

        if model is not None:
            require_model(model)
        self.versions: Versions = Versions(data / "models")
        self._model, self._data = model, data
        self._exclude, self._lateness_s, self._tally = exclude, lateness_s, tally

    @property
    def has_model(self) -> bool:
        """Whether there is one to begin with."""
        return self._model is not None or bool(self.versions.name)

    @property
    def path(self) -> Path:
        """Where the model that judges is found, and what is said of it beside."""
        return self._model or self.versions.current

    def open(self) -> tuple[Streaming, Callable[[], object]]:
        """Return a new stream of the model, and what looks for new answers."""
        from oddlog.cli import overlay
        from oddlog.model import load
        from oddlog.pipeline.live.passing import Passing
        from oddlog.pipeline.live.streaming import Streaming

        path = self.path
        answers, loaded = overlay.answers(path), load(path)
        stream = Streaming(
            loaded,
            exclude=self._exclude,
            lateness_s=self._lateness_s,
            answers=answers,
            tally=self._tally,
            passing=Passing(len(loaded.context.templates)),
        )
        return stream, overlay.Heeding(path, answers, stream.heed)

    def beginning(self, learn_s: float, lines: int) -> Beginning | None:
        """Return what learns the first model; None where one was named."""
        from oddlog.cli import show
        from oddlog.pipeline.live.beginning import Beginning
        from oddlog.pipeline.live.collecting import Collecting, Need

        if self._model is not None:
            return None
        options = ["--exclude", self._exclude] if self._exclude else []
        collecting = Collecting(self._data / "learning", Need(lines, learn_s / 3600))
        return Beginning(collecting, self.versions.place, options=options, say=lambda said: show.tell_notes([said]))
