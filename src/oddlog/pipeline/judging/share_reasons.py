"""Why shares are odd, in words and numbers that can be counted again in the raw lines.

===================  ====================================================================================
kind                 says
===================  ====================================================================================
`unexpected_event`   far more often than usual one type of line follows another; what usually does
`missing_event`      far more often than usual a session ends after a type of line
`rate`               a type of line has a far larger share of a service's lines than usual
`gap`                many lines of a service come late after the line before
`out_of_range`       many values of a number are above, or below, what is usual of their types
===================  ====================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oddlog.explain import percent, plain, shorten
from oddlog.shares import BEGIN, END, Odd, subject_of
from oddlog.types import Reason, Templates

if TYPE_CHECKING:
    from oddlog.pipeline.judging.rates_reasons import Stretch
    from oddlog.pipeline.rates import Judged

TOLD = 0.05  # usual share from which on what usually follows is worth telling


def share_reason(one: Stretch, odd: Odd, judged: Judged, templates: Templates) -> Reason:
    """Return why a share is odd."""
    if odd.kind == "step":
        return _step(one, odd, judged, templates)
    if odd.kind == "surge":
        return _surge(one, odd, templates)
    if odd.kind == "mix":
        return _mix(one, odd, templates)
    if odd.kind == "detour":
        return _detour(one, odd, judged, templates)
    return _gap(one, odd) if odd.kind == "gap" else _number(one, odd)


def _numbers(one: Stretch, odd: Odd) -> dict[str, float | int | str]:
    return {"seen": int(odd.part), "of": int(odd.whole), "usual_share": odd.usual, "minutes": one.span}


def _step(one: Stretch, odd: Odd, judged: Judged, templates: Templates) -> Reason:
    parts = subject_of("step", odd.subject)

    def named(row: int) -> str:
        return shorten(templates.text[row]) if row < len(templates) else "a line of a type never seen before"

    numbers = _numbers(one, odd)
    often = f"{int(odd.part):,} of {int(odd.whole):,} times within {_long(one.span)}, usually {percent(odd.usual)}"
    instead = ""
    after, share = judged.shares.usually_after(parts.before) if judged.shares is not None else (parts.after, 0.0)
    if after not in (parts.after, BEGIN) and share >= TOLD and (after == END or after < len(templates)):
        instead = f"; expected {'the end' if after == END else named(after)} ({percent(share)})"
        numbers["expected_share"] = share
    if parts.before == BEGIN:
        return Reason("unexpected_event", f"begins with {named(parts.after)} {often}{instead}", numbers)
    if parts.after == END:
        return Reason("missing_event", f"nothing comes after {named(parts.before)} {often}{instead}", numbers)
    return Reason(
        "unexpected_event", f"{named(parts.before)} is followed by {named(parts.after)} {often}{instead}", numbers
    )


def _detour(one: Stretch, odd: Odd, judged: Judged, templates: Templates) -> Reason:
    what = "the end" if odd.subject == END else "a line of a type never seen before"
    what = shorten(templates.text[odd.subject]) if odd.subject < len(templates) else what
    numbers = _numbers(one, odd)
    instead = ""
    before, share = judged.shares.usually_before(odd.subject) if judged.shares is not None else (BEGIN, 0.0)
    if before < len(templates) and share >= TOLD:
        instead = f"; expected after {shorten(templates.text[before])} ({percent(share)})"
        numbers["expected_share"] = share
    text = (
        f"{what} came by a way it hardly ever comes {int(odd.part):,} of {int(odd.whole):,} times within "
        f"{_long(one.span)}, usually {percent(odd.usual)}{instead}"
    )
    return Reason("unexpected_event", text, numbers)


def _surge(one: Stretch, odd: Odd, templates: Templates) -> Reason:
    what = "an end" if odd.subject == END else shorten(templates.text[odd.subject])
    expected = odd.whole * odd.usual
    numbers: dict[str, float | int | str] = {"seen": int(odd.part), "expected": round(expected, 2), "minutes": one.span}
    text = (
        f"{what} {int(odd.part):,} times within {_long(one.span)}, where what came before lets expect {plain(expected)}"
    )
    return Reason("rate", text, numbers)


def _mix(one: Stretch, odd: Odd, templates: Templates) -> Reason:
    numbers = _numbers(one, odd)
    what = shorten(templates.text[subject_of("mix", odd.subject).after])
    where = f"of {one.service}" if one.service else "without a service"
    text = (
        f"{percent(odd.part / odd.whole)} of {int(odd.whole):,} lines {where} within {_long(one.span)} are {what}, "
        f"usually {percent(odd.usual)}"
    )
    return Reason("rate", text, numbers)


def _gap(one: Stretch, odd: Odd) -> Reason:
    text = (
        f"{int(odd.part):,} of {int(odd.whole):,} lines of {one.service} within {_long(one.span)} came late after "
        f"the line before, usually {percent(odd.usual)}"
    )
    return Reason("gap", text, _numbers(one, odd))


def _number(one: Stretch, odd: Odd) -> Reason:
    where = (f" of {one.service}" if one.service else "") + (f" on {one.host}" if one.host else "")
    side = "above" if subject_of("number", odd.subject).above else "below"
    text = (
        f"{one.name}{where}: {int(odd.part):,} of {int(odd.whole):,} values within {_long(one.span)} are {side} the "
        f"usual range of their messages, usually {percent(odd.usual)}"
    )
    return Reason("out_of_range", text, _numbers(one, odd))


def _long(minutes: int) -> str:
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"  # noqa: PLR2004 - two hours
