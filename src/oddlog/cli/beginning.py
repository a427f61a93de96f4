"""How `serve` and `watch` come to their model: the one that was named, the current one, or one learned first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oddlog.feedback import Settings
    from oddlog.model import Model
    from oddlog.pipeline.live.beginning import Beginning
    from oddlog.pipeline.live.gate import Gate
    from oddlog.pipeline.live.rulebook import RuleBook
    from oddlog.pipeline.live.streaming import Streaming
    from oddlog.pipeline.live.versions import Versions
    from oddlog.service.challenging import Challenging
    from oddlog.store import Store
    from oddlog.types import Tally


class Told:
    """What of the incidents is told, as the command line says.

    Parameters
    ----------
    budget : str
        "5/day"; empty for no budget.
    rules : Path or None
        A file of rules and maintenance windows.

    """

    def __init__(self, budget: str, rules: Path | None) -> None:
        from oddlog.config import parse_false_alarms
        from oddlog.pipeline.live.rulebook import RuleBook, load

        self._per_day = parse_false_alarms(budget, "--budget") if budget else None
        self.rules: RuleBook = load(rules) if rules is not None else RuleBook()

    def with_settings(self, settings: Settings) -> tuple[RuleBook, float | None]:
        """Return rules and the budget a day with what people have set while the service ran, which wins."""
        standing = [one for _, one in settings.standing]
        per_day = [float(str(one.fields.get("per_day", 0))) for one in standing if one.kind == "budget"]
        return self.rules.with_settings(standing), (per_day[-1] or None) if per_day else self._per_day

    def gate(self) -> Gate:
        """Return a new gate."""
        from oddlog.pipeline.live.budget import Budget
        from oddlog.pipeline.live.gate import Gate

        return Gate(None if self._per_day is None else Budget(self._per_day), self.rules.maintenance)


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
    told : Told
        What is told, and by which rules.
    threshold : str
        What judges windows; see `pipeline.rolling`.

    """

    def __init__(
        self,
        model: Path | None,
        data: Path,
        exclude: str,
        lateness_s: float,
        tally: Tally,
        told: Told,
        threshold: str = "learned",
    ) -> None:
        from oddlog.model import require_model
        from oddlog.pipeline.live.versions import Versions

        if model is not None:
            require_model(model)
        self.versions: Versions = Versions(data / "models")
        self._model, self._data = model, data
        self._exclude, self._lateness_s, self._tally, self._told = exclude, lateness_s, tally, told
        self._threshold = threshold

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
            threshold=self._judges(loaded),
            answers=answers,
            tally=self._tally,
            passing=Passing(len(loaded.context.templates)),
            rules=self._told.rules,
            gate=self._told.gate(),
        )
        return stream, overlay.Heeding(path, answers, stream, self._told)

    def beside(self, path: Path) -> Streaming:
        """Return a new stream of a model that judges beside: it heeds no answers, knows no rules, counts nothing."""
        from oddlog.model import load
        from oddlog.pipeline.live.streaming import Streaming

        loaded = load(path)
        return Streaming(loaded, exclude=self._exclude, lateness_s=self._lateness_s, threshold=self._judges(loaded))

    def _judges(self, model: Model) -> str:
        """Return what judges windows; a model learned here that cannot roll goes by the learned one."""
        from oddlog.cli import show
        from oddlog.pipeline.rolling import LEARNED, why_not

        if self._threshold == LEARNED or self._model is not None:
            return self._threshold
        why = why_not(model)
        show.tell_notes([f"{why} The learned one judges."] if why else ())
        return LEARNED if why else self._threshold

    def challenging(self, store: Store, learn_s: float, lines: int) -> Challenging | None:
        """Return what has other models judge beside; None where one was named."""
        from oddlog.cli import show
        from oddlog.pipeline.live.collecting import Collecting, Need
        from oddlog.service.challenging import Challenging

        if self._model is not None:
            return None
        collecting = Collecting(self._data / "learning-on", Need(lines, learn_s / 3600))
        return Challenging(
            self.versions, self.beside, store, collecting, say=lambda said: show.tell_notes([said] if said else [])
        )

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
