"""What holds of every format on any text."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oddlog.formats import FORMATS, detect_format
from oddlog.formats.checks import as_case, bound, check_contract, read_cases
from oddlog.formats.registry import Bindable
from oddlog.types import Format

CORPORA = Path(__file__).resolve().parents[1] / "corpora" / "formats"
own = {f.name: [c["text"] for c in read_cases(CORPORA / f"{f.name}.jsonl")] for f in FORMATS}
everything = sorted({text for texts in own.values() for text in texts})


def keys(text: str) -> set[str]:
    """Return the keys of a line that is a JSON object."""
    try:
        value = json.loads(text)
    except ValueError:
        return set()
    return set(value) if isinstance(value, dict) else set()


few = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@st.composite
def broken_lines(draw: st.DrawFn) -> list[str]:
    """Lines of all formats, cut, doubled and with other text put in the middle."""
    lines = draw(st.lists(st.sampled_from(everything), min_size=1, max_size=8))
    broken = []
    for line in lines:
        at = draw(st.integers(0, len(line)))
        middle = draw(any_text)
        end = draw(st.integers(at, len(line)))
        broken.append(draw(st.sampled_from([line, line[:at], line[:at] + middle + line[end:], middle])))
    return broken


@pytest.mark.parametrize("tested", FORMATS, ids=[f.name for f in FORMATS])
@few
@given(lines=broken_lines())
def test_any_text_keeps_the_contract(tested: Format, lines: list[str]) -> None:
    text = pl.Series("text", lines, dtype=pl.String)
    check_contract(tested, text)
    check_contract(bound(tested, text), text)


@pytest.mark.parametrize("tested", FORMATS, ids=[f.name for f in FORMATS])
def test_any_text_in_a_bound_format_keeps_the_contract(tested: Format) -> None:
    ready = bound(tested, pl.Series("text", own[tested.name]))
    check_contract(ready, pl.Series("text", everything))


@pytest.mark.parametrize("tested", FORMATS, ids=[f.name for f in FORMATS])
def test_a_line_is_read_alike_alone_and_in_a_block(tested: Format) -> None:
    lines = [t for t in own[tested.name] if not (tested.name in {"glog", "android", "proxifier"} and "leap" in t)]
    if tested.name == "zeek":  # what follows goes by another header
        lines = lines[: next(i for i, line in enumerate(lines) if line.startswith("#close"))]
    ready = bound(tested, pl.Series("text", lines))
    block = ready.parse(pl.Series("text", lines), year=2024).to_dicts()
    for line, row in zip(lines, block, strict=True):
        alone = ready.parse(pl.Series("text", [line]), year=2024).to_dicts()[0]
        assert as_case(line, alone) == as_case(line, row)
        if " P " not in line:  # which the next line goes on
            twice = ready.parse(pl.Series("text", [line, line]), year=2024).to_dicts()
            assert [as_case(line, one) for one in twice] == [as_case(line, row)] * 2


JSON_FORMATS = [
    f for f in FORMATS if f.name in {"docker", "journald", "windows_event", "gelf", "cloudflare", "zeek", "json"}
]
keys_of_json = sorted(
    {key for f in JSON_FORMATS for text in own[f.name] for key in keys(text)} | {"_path", "path", "_x", "x"}
)
values = (
    st.none()
    | st.booleans()
    | st.integers(-3, 2**40)
    | st.floats(allow_nan=False)
    | any_text
    | st.just([1, "a"])
    | st.just({"a": 1})
)
objects = st.dictionaries(st.sampled_from(keys_of_json), values, max_size=8)


@pytest.mark.parametrize("tested", JSON_FORMATS, ids=[f.name for f in JSON_FORMATS])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    lines=st.lists(objects, min_size=1, max_size=4),
    mark=st.sampled_from(["ts", "RayID", "EventID", "short_message", "__REALTIME_TIMESTAMP"]),
)
def test_any_object_keeps_the_contract(tested: Format, lines: list[dict[str, object]], mark: str) -> None:
    text = pl.Series("text", [json.dumps({mark: "1", **line}) for line in lines])
    check_contract(tested, text)
    check_contract(bound(tested, text), text)


@few
@given(lines=broken_lines())
def test_detection_never_raises_and_is_repeatable(lines: list[str]) -> None:
    text = pl.Series("text", lines)
    first, second = detect_format(text, year=2024), detect_format(text, year=2024)
    assert (first.format.name, first.confidence, first.alternatives) == (
        second.format.name,
        second.confidence,
        second.alternatives,
    )
    assert 0.0 <= first.confidence <= 1.0
    assert len(first.format.parse(text, year=2024)) == len(text)


@pytest.mark.parametrize("tested", [f for f in FORMATS if isinstance(f, Bindable)], ids=lambda f: f.name)
def test_binding_twice_gives_the_same_reading(tested: Format) -> None:
    text = pl.Series("text", own[tested.name])
    first, second = (bound(tested, text).parse(text, year=2024) for _ in range(2))
    assert first.equals(second)
