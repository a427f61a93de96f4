"""`oddlog watch`: say what is odd while it happens."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from oddlog.pipeline.live.streaming import Pushed, Streaming
    from oddlog.sources import Pipe, Tail
    from oddlog.types import LiveIncident

STDIN = "-"


def watch(
    paths: Annotated[list[str], typer.Argument(help="Files, globs, directories to follow, or - for standard input.")],
    model: Annotated[Path, typer.Option("-m", "--model", help="A model made by oddlog fit.")],
    resume: Annotated[
        Path | None,
        typer.Option(help="Note in this file where reading stops and what is open; go on there next time."),
    ] = None,
    exclude: Annotated[str, typer.Option(help="SQL condition for records to leave out, besides the model's.")] = "",
    format: Annotated[str, typer.Option(help="Format of the lines; found per source if not given.")] = "",  # noqa: A002 - the option's name
    lateness: Annotated[str, typer.Option(help="How long to wait for lines that come out of order.")] = "2s",
    *,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Also judge what is in the files already, not only what comes now.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON lines, also on a terminal.")] = False,
) -> None:
    """Follow logs and say what is odd while it happens. JSON lines when piped. Ctrl-C ends it.

    [dim]Example: oddlog watch app.log -m app.model[/dim]
    """
    from oddlog.cli import overlay, prepare, show
    from oddlog.config import parse_duration
    from oddlog.model import load
    from oddlog.pipeline.live.following import Following
    from oddlog.pipeline.live.streaming import Streaming

    prepare()
    answers, loaded = overlay.answers(model), load(model)
    _require_sense(paths, resume)
    stream = Streaming(loaded, format=format, exclude=exclude, lateness_s=parse_duration(lateness), answers=answers)
    source, save = _source(paths, stream, resume, from_start=from_start)
    telling = _Telling(model, as_json=show.wants_json(json))
    heeding = overlay.Heeding(model, answers, stream.heed)
    with closing(source), show.until_nobody_reads():
        Following(source, stream, telling, save, heeding).run(_Asked())
    show.tell_notes([f"Judged {stream.says}."])
    if not telling.as_json:
        show.print_tally(stream.tally)


def _source(
    paths: list[str], stream: Streaming, resume: Path | None, *, from_start: bool
) -> tuple[Pipe | Tail, Callable[[], object] | None]:
    """Return what brings the lines, and how to note where it is."""
    from oddlog.cli import resuming, show
    from oddlog.sources import Pipe, Tail

    if STDIN in paths:
        return Pipe(stream.tally), None
    noted = resuming.read(resume) if resume else None
    tail = Tail(paths, stream.tally, from_start=from_start, places=resuming.places_of(noted))
    if resume is None:
        return tail, None
    show.tell_notes(resuming.restore(stream, noted))
    return tail, lambda: resuming.write(resume, stream, tail.state(stream.places()))


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
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in self._before:
            signal.signal(number, self._hear)

    def _hear(self, _number: int, _frame: object) -> None:
        self._asked = True
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self._asked


class _Telling:
    """Prints what happens."""

    def __init__(self, model: Path, *, as_json: bool) -> None:
        self._model, self.as_json = model, as_json

    def __call__(self, pushed: Pushed, incidents: list[LiveIncident]) -> None:
        from oddlog.cli import overlay, show

        if incidents:
            overlay.keep(self._model, [one.incident for one in incidents if one.change in ("new", "grown")])
        if self.as_json:
            show.print_live_json(pushed, incidents)
        else:
            show.print_live(pushed, incidents)
