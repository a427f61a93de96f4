"""`oddlog feedback`: say what an incident is; list, undo, export and import what was said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from oddlog.feedback import Answer, Answers, Remembered

MODEL = typer.Option("-m", "--model", help="The model whose incidents are answered.")
WHO = typer.Option(help="Who says so; your login name if not given.")
JSON = typer.Option("--json", help="JSON lines, also on a terminal.")


class Answering(TyperGroup):
    """A group whose `answer` may be left out: what is no command is the id of an incident."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `answer` before an id, and before an option that stands first."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["answer", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=Answering, no_args_is_help=True, rich_markup_mode="rich")


@app.callback(
    subcommand_metavar="ID usual|anomalous|mute -m MODEL | COMMAND [ARGS]...",
    epilog="Example: oddlog feedback 3f2a9c1b usual --note 'nightly backup' -m app.model",
)
def feedback() -> None:
    """Say what an incident is: usual, anomalous (confirmed) or mute. This holds at once, for its pattern."""


@app.command("answer")
def answer(
    words: Annotated[
        list[str], typer.Argument(metavar="ID ANSWER", help="The id (or its beginning), and usual, anomalous or mute.")
    ],
    model: Annotated[Path, MODEL],
    pattern: Annotated[str, typer.Option(help="A pattern instead of an id; oddlog detect --json shows it.")] = "",
    until: Annotated[str, typer.Option(help="When a mute ends: 2026-03-09T06:00Z, or how long from now: 8h.")] = "",
    note: Annotated[str, typer.Option(help="Why.")] = "",
    who: Annotated[str, WHO] = "",
    *,
    json: Annotated[bool, JSON] = False,
) -> None:
    """Say what an incident is ("answer" may be left out).

    [dim]Example: oddlog feedback 3f2a9c1b mute --until 8h --note maintenance -m app.model[/dim]
    """
    from oddlog.cli import overlay, show

    asked, word = _asked(words, pattern)
    answers = overlay.answers(model)
    incident = _incident(model, asked, pattern)
    now = datetime.now(UTC)
    given = _answer(incident, word, now, until, note, who or overlay.who())
    number = answers.add(given)
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json({"n": number} | given.record(), one_line=True)
        else:
            show.console().print(_done(given, number), markup=False)


@app.command("list")
def list_(
    model: Annotated[Path, MODEL],
    *,
    all: Annotated[bool, typer.Option("--all", help="Also what was undone or has run out.")] = False,  # noqa: A002 - the option's name
    json: Annotated[bool, JSON] = False,
) -> None:
    """List the answers, the oldest first.

    [dim]Example: oddlog feedback list -m app.model[/dim]
    """
    from oddlog.cli import overlay, show

    rows = _rows(overlay.answers(model), all=all)
    empty = "No answers. Give one with: oddlog feedback ID usual|anomalous|mute -m MODEL"
    with show.until_nobody_reads():
        for row in rows if show.left_for_people(rows, empty, json=json) else ():
            short = {name: row[name][: show.SHOWN_ID] for name in ("id", "pattern")}  # as much as may be typed
            by = f" by {row['who']}" if row["who"] else ""
            until = f" until {row['until']:%Y-%m-%d %H:%M}" if row["until"] else ""
            show.print_entry(
                f"{row['n']}: {row['answer']}{until}, {row['state']}",
                f"id {short['id']}  pattern {short['pattern']}  {row['time']:%Y-%m-%d %H:%M}{by}",
                row["says"],
                row["note"] and f"note: {row['note']}",
            )


@app.command("undo")
def undo(
    which: Annotated[str, typer.Argument(help="Number of the answer, or the id or pattern it was given to.")],
    model: Annotated[Path, MODEL],
    who: Annotated[str, WHO] = "",
    *,
    json: Annotated[bool, JSON] = False,
) -> None:
    """Take back an answer; earlier ones to the same pattern hold again.

    [dim]Example: oddlog feedback undo 3 -m app.model[/dim]
    """
    from oddlog.cli import overlay, show

    answers = overlay.answers(model)
    undone = answers.undo(which, who=who or overlay.who())
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json({"undone": undone.record()}, one_line=True)
        else:
            show.console().print(f"Undone: {undone.answer} for pattern {undone.pattern}.", markup=False)


@app.command("export")
def export(
    model: Annotated[Path, MODEL],
) -> None:
    """Print the answers that hold as JSON lines, to be imported elsewhere.

    [dim]Example: oddlog feedback export -m app.model > answers.jsonl[/dim]
    """
    from oddlog.cli import overlay, show

    with show.until_nobody_reads():
        for record in overlay.answers(model).export():
            show.print_json(record, one_line=True)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What oddlog feedback export wrote; - for standard input.")],
    model: Annotated[Path, MODEL],
    *,
    json: Annotated[bool, JSON] = False,
) -> None:
    """Take in answers that were exported, without those that are there already.

    [dim]Example: oddlog feedback import answers.jsonl -m next.model[/dim]
    """
    from oddlog.cli import overlay, show

    records = _read(file)
    new = overlay.answers(model).take_in(records)
    with show.until_nobody_reads():
        if show.wants_json(json):
            show.print_json({"read": len(records), "new": new}, one_line=True)
        else:
            show.console().print(f"{new:,} of {len(records):,} answers are new.")


def _asked(words: list[str], pattern: str) -> tuple[str, str]:
    """Return the id and the answer among the words of a command line."""
    from oddlog.errors import ConfigError

    if len(words) == (1 if pattern else 2):
        return (words[0] if not pattern else ""), words[-1]
    raise ConfigError(
        f"'{' '.join(words)}' is not an incident and an answer.",
        "Type: oddlog feedback ID usual|anomalous|mute -m MODEL, or: oddlog feedback list -m MODEL",
    )


def _incident(model: Path, asked: str, pattern: str) -> Remembered:
    from oddlog.feedback import beside, by_pattern, recall

    path = beside(model, "incidents")
    return by_pattern(path, pattern) if pattern else recall(path, asked)


def _answer(incident: Remembered, word: str, now: datetime, until: str, note: str, who: str) -> Answer:
    from oddlog.feedback import Answer

    end = _time_ahead(until, now) if until else None
    of = (incident.id, incident.patterns, incident.new_types)
    return Answer(word, incident.pattern, now, *of, end, note, who, incident.says, incident.company)


def _time_ahead(text: str, now: datetime) -> datetime:
    """Return a time in UTC from ISO 8601, or from a duration that lies so far ahead."""
    from oddlog.config import parse_duration, parse_time
    from oddlog.errors import ConfigError

    try:
        return now + timedelta(seconds=parse_duration(text))
    except ConfigError:
        pass
    try:
        return parse_time(text)
    except ConfigError as error:
        raise ConfigError(f"'{text}' is no time.", "Write 2026-03-09T06:00Z, or how long from now: 8h.") from error


def _done(given: Answer, number: int) -> str:
    more = len(given.covers) - 1
    others = f" and the {more} other pattern{'' if more == 1 else 's'} of that incident" if more else ""
    until = f" until {given.until:%Y-%m-%d %H:%M} UTC" if given.until else ""
    word = {"mute": "muted"}.get(given.answer, given.answer)
    return f"{number}: pattern {given.pattern}{others}: {word}{until}. To take it back: oddlog feedback undo {number}"


def _rows(answers: Answers, *, all: bool) -> list[dict[str, Any]]:  # noqa: A002 - the option's name
    now = datetime.now(UTC)
    rows = []
    for number, one in enumerate(answers.given, 1):
        state = "undone" if one.name in answers.undone else "holds" if one.holds(now) else "has run out"
        if all or state == "holds":
            rows.append({"n": number, "state": state} | one.record())
    return rows


def _read(file: Path) -> list[Any]:
    import sys

    import orjson

    from oddlog.errors import InputError

    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.", "Check the path.") from error
    records = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            records += [orjson.loads(line)] if line.strip() else []
        except orjson.JSONDecodeError as error:
            raise InputError(
                f"Line {number} of {file} is no JSON.", "Import what oddlog feedback export wrote."
            ) from error
    return records
