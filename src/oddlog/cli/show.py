"""What people and machines see: tables and colours on a terminal, JSON in a pipe."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import polars as pl

    from oddlog.model import Model
    from oddlog.pipeline.judging.detection import Detection
    from oddlog.pipeline.live.pushed import Pushed
    from oddlog.types import Incident, LineRef, LiveIncident, Tally

LEAST_P = 1e-15  # smaller ones say no more
SHOWN_LINES = 3
ROWS_OF_LINE = 2  # of the terminal
INDENT = "    "
LEAST_SHOWN = 60  # characters, however narrow it is
SHOWN_TEMPLATES = 20
SHOWN_REASONS = 4
SHOWN_ID = 8  # digits: two of 10,000 incidents are alike in one of 100 runs, and that is then said
SHOWN_OF_CANDIDATES = ("candidate", "coverage", "values", "score", "why_not")  # what 80 columns hold; --json has all
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
LEVEL_STYLES = ((40.0, "bold red"), (15.0, "red"), (6.0, "yellow"))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `until_nobody_reads`; rich would exit with 1."""
        raise BrokenPipeError


def console() -> Console:
    """Return the console for results."""
    return _Console(highlight=False, soft_wrap=not sys.stdout.isatty())


@contextmanager
def until_nobody_reads() -> Iterator[None]:
    """Print no more once the reader of the output has gone (`| head`), and go on behind the block."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def plain(text: str) -> str:
    """Return `text` without what would move a terminal's cursor, change its colours or its title."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def wants_json(asked: bool) -> bool:
    """Return whether the output is for a machine."""
    return asked or not sys.stdout.isatty()


def print_json(value: Any, *, one_line: bool = False) -> None:
    """Print a value as JSON."""
    option = orjson.OPT_UTC_Z | orjson.OPT_SERIALIZE_NUMPY | (0 if one_line else orjson.OPT_INDENT_2)
    sys.stdout.write(orjson.dumps(value, option=option).decode() + "\n")


def print_rows(frame: pl.DataFrame) -> None:
    """Print a frame as JSON lines."""
    for row in frame.iter_rows(named=True):
        print_json(row, one_line=True)


@contextmanager
def progress() -> Iterator[Callable[[str, int], None]]:
    """Yield a function that is told (what is being done, how many) and shows it where somebody watches."""
    err = Console(stderr=True, highlight=False)
    if not err.is_terminal:
        yield lambda _what, _n: None
        return
    with err.status("starting") as status:
        yield lambda what, n: status.update(f"{escape(what)}  [dim]{n:,}[/dim]" if n else escape(what))


def tell_notes(notes: Iterable[str]) -> None:
    """Say on standard error what the reader of JSON should know."""
    for note in notes:
        logging.getLogger("oddlog").warning("%s", note)


def incident_json(incident: Incident) -> dict[str, Any]:
    """Return an incident as the object that others build on."""
    fields = asdict(incident)
    names = ("id", "key", "start", "end", "score", "p_value", "pattern", "services", "hosts", "reasons", "lines")
    further = ("n_windows", "keys", "severity", "patterns", "new_types", "answer", "notes", "members")
    return {name: fields[name] for name in names} | {name: fields[name] for name in further}


def model_json(model: Model) -> dict[str, Any]:
    """Return what a model was learned from and how."""
    return {
        "id": model.id,
        "templates": len(model.context.templates),
        "services": model.context.services,
        "members": members_of(model),
        "reading": model.reading,
        "training": model.training,
    }


def print_frame(frame: pl.DataFrame, title: str = "", right: tuple[str, ...] = ()) -> None:
    """Print a frame as a table."""
    table = Table(title=title or None, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for name in frame.columns:
        table.add_column(name.replace("_", " "), justify="right" if name in right else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(Text(plain(_cell(value))) for value in row))
    console().print(table)


def left_for_people(rows: Sequence[Mapping[str, Any]], empty: str, *, json: bool) -> bool:
    """Print a list as JSON lines for machines, `empty` if there is nothing; return whether a person is to see it."""
    if wants_json(json):
        for row in rows:
            print_json(row, one_line=True)
        return False
    if not rows:
        console().print(empty)
    return bool(rows)


def print_entry(head: str, *below: str) -> None:
    """Print one thing of a list: what it is, and indented what is to be said of it, each on one row of the terminal."""
    out = console()
    out.print(Text(plain(head), "bold"))
    for said in filter(None, below):
        room = max(out.width - len(INDENT), LEAST_SHOWN)
        out.print(Text(INDENT + plain(said if len(said) <= room else said[: room - 1] + "…")))


def _cell(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, float):
        return f"{value:,.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def print_tally(tally: Tally) -> None:
    """Print what was cleaned, cut or passed over, and how often."""
    from oddlog.cleaning import cleaning_table

    table = cleaning_table(tally)
    if len(table):
        print_frame(table, "\nCleaned, cut or passed over", right=("how_often",))


def print_model(model: Model, where: str) -> None:
    """Print what was learned."""
    out, training, reading = console(), model.training, model.reading
    out.print(
        f"[bold]Learned[/bold] from {training['lines']:,} lines of {several(len(reading['formats']), 'source')}"
        f"{_span(training['start'], training['end'])}"
    )
    for name, share in reading["format_shares"].items():
        out.print(
            f"  format     {escape(name)} ({several(share['sources'], 'source')}, confidence {share['confidence']:.2f})"
        )
    out.print(f"  templates  {len(model.context.templates):,} message types")
    out.print(f"  sessions   {escape(reading['session']['says'])}")
    for view in model.views:
        facts = training["views"][view.name]
        out.print(f"  {view.name:<9}  {escape(facts['says'])}")
        for note in facts["notes"]:
            out.print(f"             [yellow]{escape(note)}[/yellow]")
    rates = training.get("rates", {"says": "not watched by the version that learned this", "notes": []})
    out.print(f"  rates      {escape(rates['says'])}")
    for note in rates["notes"]:
        out.print(f"             [yellow]{escape(note)}[/yellow]")
    for note in training["notes"]:
        out.print(f"  [yellow]{escape(note)}[/yellow]")
    out.print(f"  model      {escape(where)}  [dim]{model.id[:12]}[/dim]")
    out.print(f"Now: [bold]oddlog detect TODAY.log -m {escape(shlex.quote(where))}[/bold]")


def several(n: int, what: str) -> str:
    """Return so many of a thing in words.

    >>> several(1, "source"), several(1234, "source")
    ('1 source', '1,234 sources')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _numbers(told: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return the numbers that are watched, and those that are not with the reason."""
    import polars as pl

    frame: dict[str, list[str]] = {"number": [one["where"] for one in told], "unit": [one["unit"] for one in told]}
    columns = {"lines": "lines", "distinct": "distinct", "1 %": "low", "median": "median", "99 %": "high"}
    frame |= {title: [f"{one[name]:,.6g}" for one in told] for title, name in columns.items()}
    frame["watched"] = [f"no: {one['why_not']}" if one["why_not"] else f"yes, {one['scale']}" for one in told]
    return pl.DataFrame(frame)


def members_of(model: Model) -> list[dict[str, Any]]:
    """Return who judges in a model: by view the members, whether they vote and why, and what they read."""
    rows = []
    for view in model.views:
        joining = model.training["views"][view.name].get("joining", {})
        for member in view.members:
            tried = joining.get(member.name, {})
            rows.append(
                {
                    "view": view.name,
                    "member": member.name,
                    "role": "votes" if member.name in view.voting else "shown",
                    "reads": ", ".join(sorted(member.reads)),
                    "p_values_from": "last 15 %" if getattr(member, "calibrates", "folds") == "holdout" else "5 folds",
                    "why": tried.get("why", ""),
                    "features": list(getattr(member, "features", ())),
                }
            )
    return rows


def _shortened(features: Sequence[str]) -> str:
    """Return the names of features, those of one kind as one: text[0] … text[15] as text × 16."""
    kinds = Counter(re.sub(r"[\d\[\]_. ]+$", "", name) for name in features)
    return ", ".join(name if n == 1 else f"{name} × {n}" for name, n in kinds.items())


def print_inside(model: Model) -> None:
    """Print a model's members, its message types, what could have tied its lines together, and what was cleaned."""
    import polars as pl

    from oddlog.types import LEVELS, Tally

    members = members_of(model)
    print_frame(pl.DataFrame(members).drop("features"), "\nMembers")
    for one in members:
        if one["features"]:
            console().print(
                f"  {one['member']} on {one['view']} sees of each event: {escape(_shortened(one['features']))}"
            )
    known = model.context.templates
    first = (-known.count).argsort(kind="stable")[:SHOWN_TEMPLATES].tolist()  # an update puts new types behind
    rows = {
        "lines": known.count[first],
        "level": [LEVELS[known.level[row]] for row in first],
        "template": [known.text[row] for row in first],
    }
    print_frame(pl.DataFrame(rows), "\nMost frequent message types", right=("lines",))
    if model.training.get("numbers") and not model.context.numbers:
        n = several(len(model.training["numbers"]), "number")
        console().print(f"\n{n} beside the message types: no detector here reads numbers.")
    elif model.training.get("numbers"):
        right = ("lines", "distinct", "1 %", "median", "99 %")
        print_frame(
            _numbers(model.training["numbers"]),
            "\nNumbers beside the message types",
            right=right,
        )
    if model.reading["session"]["candidates"]:
        candidates = pl.DataFrame(model.reading["session"]["candidates"])
        print_frame(candidates.select(SHOWN_OF_CANDIDATES), "\nWhat could tie lines together")
    tally = Tally()
    tally.counts.update(model.training["tally"]["counts"])
    tally.examples.update(model.training["tally"]["examples"])
    print_tally(tally)


def _span(start: object, end: object) -> str:
    if start is None or end is None:
        return ""
    return f", {_when(start)} to {_when(end)}"


def _when(time: object) -> str:
    if isinstance(time, datetime):
        return time.strftime("%Y-%m-%d %H:%M:%S")
    return str(time or "no time")[:19].replace("T", " ")


def print_detection(found: Detection, limit: int, *, every: bool = False) -> None:
    """Print what is odd, the most pressing first; with `every`, also what was called usual or muted."""
    out, shown = console(), found.incidents + (found.hidden if every else ())
    out.print(f"Judged {found.says}{_span(found.start, found.end)}")
    for note in found.notes:
        out.print(f"[yellow]{escape(note)}[/yellow]")
    if not shown:
        out.print("[green]Nothing odd.[/green]")
    for rank, incident in enumerate(shown[:limit], 1):
        _print_incident(out, rank, incident)
    hidden = len(shown) - limit
    if hidden > 0:
        out.print(f"\n{hidden:,} more, less pressing: --limit {len(shown)} shows all.")
    print_tally(found.tally)


def live_json(live: LiveIncident) -> dict[str, Any]:
    """Return an incident while it happens as the object that others build on."""
    return {
        "type": "incident",
        "change": live.change,
        "provisional": live.provisional,
        **incident_json(live.incident),
    }


def print_live_json(pushed: Pushed, incidents: Sequence[LiveIncident]) -> None:
    """Print odd lines, odd windows and incidents as JSON lines, at once."""
    for row in pushed.lines.iter_rows(named=True):
        print_json({"type": "line", "provisional": True, **row}, one_line=True)
    for row in pushed.verdicts.filter("is_anomaly").iter_rows(named=True):
        print_json({"type": "window", **row}, one_line=True)
    for one in incidents:
        print_json(live_json(one), one_line=True)
    sys.stdout.flush()


def print_live(pushed: Pushed, incidents: Sequence[LiveIncident]) -> None:
    """Print odd lines and incidents for people, at once."""
    out = console()
    for row in pushed.lines.iter_rows(named=True):
        text = Text(f"{_when(row['time'])}  odd line  {plain(row['source'])}:{row['line']}  ", "dim")
        text.append(plain(_excerpt(_line(row), max(ROWS_OF_LINE * out.width - text.cell_len, LEAST_SHOWN))), "default")
        out.print(text)
    for one in incidents:
        word = one.change if one.change != "new" or not one.provisional else "provisional"
        if one.change in ("over", "withdrawn"):
            why = "nothing more for an hour" if one.change == "over" else "usual after all, or part of another"
            out.print(Text(f"{word:>11}  {one.incident.id[:SHOWN_ID]}  {plain(one.incident.key)}: {why}", "dim"))
        else:
            _print_incident(out, word, one.incident)
    sys.stdout.flush()


def _print_incident(out: Console, rank: int | str, incident: Incident) -> None:
    from oddlog.incidents import keyed

    style = next((style for least, style in LEVEL_STYLES if incident.severity >= least), "cyan")
    style = "cyan" if incident.urgency == "notice" else style
    start, end = _when(incident.start), _when(incident.end)
    same_day = start[:10] == end[:10]
    span = start if start == end else f"{start} – {end[11:] if same_day else end}"
    key = keyed(incident)
    what = key if incident.n_windows <= 1 else f"{incident.n_windows:,} × {key} …"
    head = Text.assemble((f"\n{rank:>3}  ", "bold"), (span, style), "  ", (plain(what), "bold"))
    where = ", ".join(incident.services[:3])
    if where:
        head.append(f"  {plain(where)}")
    if incident.hosts:
        head.append(f"  on {plain(', '.join(incident.hosts[:3]))}{' …' if len(incident.hosts) > 3 else ''}")  # noqa: PLR2004
    p_value = f"p {incident.p_value:.1g}" if incident.p_value >= LEAST_P else f"p < {LEAST_P:g}"
    notice = "  notice" if incident.urgency == "notice" else ""
    head.append(f"{notice}  {p_value}  id {incident.id[:SHOWN_ID]}", "dim")
    out.print(head)
    for note in incident.notes:
        out.print(Text(f"     {plain(note)}", "magenta"))
    for reason in incident.reasons[:SHOWN_REASONS]:
        out.print(Text(f"     {plain(reason.text)}"))
    for line in incident.lines[:SHOWN_LINES]:
        text = Text(f"       {plain(line.source)}:{line.line}  ", "dim")
        text.append(plain(_excerpt(line, max(ROWS_OF_LINE * out.width - text.cell_len, LEAST_SHOWN))), "default")
        out.print(text)


def _line(row: Mapping[str, Any]) -> LineRef:
    from oddlog.types import LineRef

    text = row["text"] or row["template"]
    return LineRef(row["source"], row["line"], text, row["score"], row["message"] or "")


def _excerpt(line: LineRef, room: int) -> str:
    """Return what of a line is shown: all of it if there is room, else what it says behind its header."""
    whole = line.text.replace("\n", " ⏎ ")
    if len(whole) > room and line.message:
        whole = line.message
    return whole if len(whole) <= room else whole[: room - 1] + "…"
