"""`oddlog watch`: say what is odd while it happens."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oddlog.cli import ending, resuming

if TYPE_CHECKING:
    import polars as pl

    from oddlog.pipeline.live.pushed import Pushed
    from oddlog.pipeline.live.streaming import Streaming
    from oddlog.sources import Pipe
    from oddlog.sources.links import Links
    from oddlog.sources.opening import Resumable
    from oddlog.types import LiveIncident, State, Tally

STDIN = "-"


def watch(
    paths: Annotated[
        list[str], typer.Argument(help="Files, globs, directories to follow, a URL (journald://, loki+http://…), or -.")
    ],
    model: Annotated[
        Path, typer.Option("-m", "--model", help="A model made by oddlog fit; one that is not there is learned first.")
    ] = Path("oddlog.model"),
    resume: Annotated[
        Path | None,
        typer.Option(help="Note in this file where reading stops and what is open; go on there next time."),
    ] = None,
    exclude: Annotated[str, typer.Option(help="SQL condition for records to leave out, besides the model's.")] = "",
    format: Annotated[str, typer.Option(help="Format of the lines; found per source if not given.")] = "",  # noqa: A002 - the option's name
    lateness: Annotated[str, typer.Option(help="How long to wait for lines that come out of order.")] = "2s",
    threshold: Annotated[
        str, typer.Option(help="What judges windows: learned, or rolling with the windows before them.")
    ] = "learned",
    budget: Annotated[str, typer.Option(help="Tell at most so many incidents a day, the most pressing: 5/day.")] = "",
    rules: Annotated[
        Path | None, typer.Option(help="TOML file of rules (never, always, limit) and maintenance windows.")
    ] = None,
    learn: Annotated[str, typer.Option(help="With no model yet: of how long a time to learn one.")] = "3h",
    learn_lines: Annotated[
        int, typer.Option("--learn-lines", help="With no model yet: of how many lines to learn one.", min=1)
    ] = 10_000,
    *,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Also judge what is in the files already, not only what comes now.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON lines, also on a terminal.")] = False,
) -> None:
    """Follow logs and say what is odd while it happens. JSON lines when piped. Ctrl-C ends it.

    Without a model it learns one from what is there and what comes, and says how far it is.

    [dim]Example: oddlog watch app.log -m app.model[/dim]
    """
    from oddlog.cli import beginning, overlay, prepare, show
    from oddlog.config import parse_duration
    from oddlog.model import load
    from oddlog.pipeline.live.following import Following
    from oddlog.pipeline.live.streaming import Streaming
    from oddlog.pipeline.rolling import require_kind
    from oddlog.sources.links import Links
    from oddlog.types import Tally

    prepare()
    told = beginning.Told(budget, rules)
    tally, lateness_s, learn_s = Tally(), parse_duration(lateness), parse_duration(learn)
    _require_sense(paths, resume)
    require_kind(threshold)
    is_first = not model.exists()
    answers = None if is_first else overlay.answers(model)
    loaded = None if is_first else load(model)
    noted = resuming.read(resume) if resume else None
    source = _source(paths, tally, noted, from_start=from_start or is_first)
    asked = _Asked()
    with closing(source), show.until_nobody_reads():
        held: list[pl.DataFrame] = []
        if loaded is None:
            held = _learn(source, model, format, exclude, (learn_s, learn_lines), asked)
            if not model.exists():
                return  # it was ended before
            answers, loaded = overlay.answers(model), load(model)
        assert answers is not None
        stream = Streaming(
            loaded,
            format=format,
            exclude=exclude,
            lateness_s=lateness_s,
            threshold=threshold,
            answers=answers,
            tally=tally,
            rules=told.rules,
            gate=told.gate(),
        )
        telling = _Telling(model, Links(paths), as_json=show.wants_json(json))
        heeding = overlay.Heeding(model, answers, stream, told)
        save = _save(source, stream, resume, noted)
        Following(source, stream, telling, save, _Heeding(heeding, stream), held=held).run(asked)
    show.tell_notes([f"Judged {stream.says}."])
    if not telling.as_json:
        show.print_tally(stream.tally)


def _source(paths: list[str], tally: Tally, noted: State | None, *, from_start: bool) -> Pipe | Resumable:
    """Return what brings the lines."""
    from oddlog.sources import Pipe
    from oddlog.sources.opening import open_sources

    if STDIN in paths:
        return Pipe(tally)
    return open_sources(paths, tally, position=resuming.places_of(noted) or None, from_start=from_start)


def _save(
    source: Pipe | Resumable, stream: Streaming, resume: Path | None, noted: State | None
) -> Callable[[], object] | None:
    """Have the stream go on where it was; return how to note where it is."""
    from oddlog.cli import show
    from oddlog.sources import Pipe

    if resume is None or isinstance(source, Pipe):
        return None
    show.tell_notes(resuming.restore(stream, noted))

    def save() -> object:
        position = source.state(stream.places(), stream.earliest)
        resuming.write(resume, stream, position)
        return position

    return save


def _learn(
    source: Pipe | Resumable,
    model: Path,
    format_: str,
    exclude: str,
    need: tuple[float, int],
    asked: Callable[[], bool],
) -> list[pl.DataFrame]:
    """Learn a first model; return what came meanwhile."""
    import tempfile

    from oddlog.cli import show
    from oddlog.model import check_destination
    from oddlog.pipeline.live.beginning import Beginning, learn_from
    from oddlog.pipeline.live.collecting import Collecting, Need

    check_destination(model)
    learn_s, lines = need
    options = [*(["--exclude", exclude] if exclude else []), *(["--format", format_] if format_ else [])]
    folder = Path(tempfile.mkdtemp(prefix="oddlog-learning-"))
    collecting = Collecting(folder, Need(lines, learn_s / 3600), format=format_)
    beginning = Beginning(collecting, lambda: model, options=options, say=lambda said: show.tell_notes([said]))
    try:
        return learn_from(source, beginning, asked)
    finally:
        beginning.stop()
        collecting.clear()


def _require_sense(paths: list[str], resume: Path | None) -> None:
    from oddlog.errors import ConfigError
    from oddlog.pipeline.judging.verdicts import check_writable

    if STDIN in paths and len(paths) > 1:
        raise ConfigError("Standard input is watched alone.", "Name files, or - only.")
    if STDIN in paths and resume is not None:
        raise ConfigError("What came over standard input cannot be read again.", "Leave --resume out, or name files.")
    check_writable(resume, example="app.resume")


class _Asked:
    """Whether somebody wants it to end: the first Ctrl-C ends it in order, the second at once."""

    def __init__(self) -> None:
        self._asked = False
        self._before = {number: signal.getsignal(number) for number in ending()}
        for number in self._before:
            signal.signal(number, self._hear)

    def _hear(self, _number: int, _frame: object) -> None:
        self._asked = True
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self._asked


class _Heeding:
    """Looks for new answers, and says what has drifted once it has."""

    def __init__(self, heed: Callable[[], object], stream: Streaming) -> None:
        self._heed, self._stream = heed, stream
        self._said: set[tuple[str, str]] = set()

    def __call__(self) -> None:
        from oddlog.cli import show

        self._heed()
        drift = self._stream.drift()
        drifted = () if drift is None else drift.drifted
        fresh = [one for one in drifted if (one.service, one.of) not in self._said]
        self._said = {(one.service, one.of) for one in drifted}
        show.tell_notes(
            f"Drifted since {one.since:%Y-%m-%d %H:%M}, {one.service or 'all services'}: {one.says}" for one in fresh
        )


class _Telling:
    """Prints what happens."""

    def __init__(self, model: Path, links: Links, *, as_json: bool) -> None:
        self._model, self._links, self.as_json = model, links, as_json

    def __call__(self, pushed: Pushed, incidents: list[LiveIncident]) -> None:
        from oddlog.cli import overlay, show

        incidents = [self._links.told(one) for one in incidents]
        if incidents:
            overlay.keep(self._model, [one.incident for one in incidents if one.change in ("new", "grown")])
        if self.as_json:
            show.print_live_json(pushed, incidents)
        else:
            show.print_live(pushed, incidents)
