"""What a stream holds as arrays and JSON, and back: so that it goes on as if nothing had happened.

A checkpoint belongs to one model. It is a `types.State`: nothing in it is executed when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from oddlog.errors import ModelError
from oddlog.types import Incident, LineRef, LiveIncident, Reason, State, Windows
from oddlog.windows.stored import text_arrays, texts_of

Arrays = dict[str, NDArray[Any]]
_META = "meta.json"
_FIELDS = ("start", "end", "closed_by", "weight", "offsets", "template", "time_us", "level", "service", "source", "line", "numbers")  # fmt: skip # noqa: E501
_TEXTS = ("session",)  # columns of frames that are text


def packed(state: State) -> bytes:
    """Return a state as one safetensors file, its JSON among the arrays."""
    meta = np.frombuffer(orjson.dumps(state.meta, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z), np.uint8)
    return save_arrays({_META: meta, **{name: np.ascontiguousarray(array) for name, array in state.arrays.items()}})


def unpacked(content: bytes) -> State:
    """Return the state of `packed`.

    Raises
    ------
    ModelError
        If it is none.

    """
    try:
        arrays = load_arrays(content)
        return State(arrays, orjson.loads(arrays.pop(_META).tobytes()))
    except Exception as error:  # whatever another program wrote there
        raise ModelError("The checkpoint cannot be read.", "Remove it to begin anew.") from error


def within(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return arrays under names with a prefix."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return the arrays that `within` named so."""
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def windows_arrays(windows: Windows) -> Arrays:
    """Return windows as arrays."""
    return {name: getattr(windows, name) for name in _FIELDS} | text_arrays("key", windows.key.to_list())


def windows_of(arrays: Mapping[str, NDArray[Any]]) -> Windows:
    """Return the windows of `windows_arrays`."""
    key = pl.Series("key", texts_of("key", arrays), pl.String)
    return Windows(key=key, **{name: arrays[name] for name in _FIELDS})


def frame_arrays(frame: pl.DataFrame) -> Arrays:
    """Return a frame of numbers, truths, and `_TEXTS` that may be null, as arrays."""
    arrays = {name: frame[name].to_numpy() for name in frame.columns if name not in _TEXTS}
    for name in _TEXTS:
        arrays |= text_arrays(name, frame[name].fill_null("").to_list())
        arrays[f"{name}.null"] = frame[name].is_null().to_numpy()
    return arrays


def frame_of(arrays: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
    """Return the frame of `frame_arrays`."""
    columns = {name: array for name, array in arrays.items() if "." not in name}
    frame = pl.DataFrame(columns)
    for name in _TEXTS:
        text = pl.Series(name, texts_of(name, arrays), pl.String)
        frame = frame.with_columns(text.set(pl.Series(arrays[f"{name}.null"]), None))
    return frame


def incident_of(told: Mapping[str, Any]) -> Incident:
    """Return the incident of `dataclasses.asdict`, read back from JSON."""
    fields = dict(told)
    for name in ("start", "end"):
        fields[name] = None if fields[name] is None else datetime.fromisoformat(fields[name])
    for name in ("keys", "services", "hosts", "patterns", "new_types", "company", "notes"):
        fields[name] = tuple(fields.get(name, ()))
    fields["reasons"] = tuple(Reason(**one) for one in fields["reasons"])
    fields["lines"] = tuple(LineRef(**one) for one in fields["lines"])
    return Incident(**fields)


def live_json(one: LiveIncident) -> list[Any]:
    """Return what has happened to an incident, for `live_of`."""
    return [incident_json(one.incident), one.change, one.provisional]


def live_of(found: Sequence[Any]) -> LiveIncident:
    """Return what `live_json` was made of, as something worth to be told."""
    incident, change, provisional = found
    return LiveIncident(incident_of(incident), change, provisional)


def incident_json(incident: Incident) -> dict[str, Any]:
    """Return an incident for `incident_of`."""
    return incident.fields()
