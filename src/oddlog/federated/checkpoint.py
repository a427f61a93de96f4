"""Where a federation stands, on the server's disk: whole at any moment.

Nothing is drawn from a generator that runs on: what a site draws depends on the seed and the round alone, and there is
no optimiser at the server. So weights, the shared context and the rounds so far are all there is to keep.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from oddlog.errors import ConfigError, ModelError
from oddlog.federated.history import Round
from oddlog.types import F32, F64

if TYPE_CHECKING:
    from oddlog.federated.plan import Plan

NAME = "federation.safetensors"
OF_SITE = "histogram/"
FREE = frozenset({"rounds", "target", "patience", "patterns", "deadline_s", "tune_steps", "local_steps", "alike"})
"""What of a plan may differ from that of the checkpoint: more rounds can be taken."""


@dataclass(frozen=True)
class Checkpoint:
    """What a server goes on from.

    Attributes
    ----------
    weights : F32 [p]
        After the last round.
    everyone : F64 [s]
        What was summed before learning.
    history : list of Round
        Round 0 first.
    digest : str
        Of the untrained network: sites with another one do not take part.
    id : str
        Of the federation.
    histograms : dict of F64 [64]
        What each site has said of its message types, in mode visible.

    """

    weights: F32
    everyone: F64
    history: list[Round]
    digest: str
    id: str
    histograms: dict[str, F64] = field(default_factory=dict)

    @staticmethod
    def digest_of(initial: F32) -> str:
        """Return the digest of an untrained network, as sites send it."""
        return sha256(initial.tobytes()).hexdigest()

    def write(self, folder: Path, plan: Plan) -> None:
        """Write aside and rename; it is on the disk when this returns."""
        folder.mkdir(parents=True, exist_ok=True)
        meta = {
            "plan": _kept(plan),
            "history": [one.facts() for one in self.history],
            "digest": self.digest,
            "id": self.id,
        }
        arrays: dict[str, F32 | F64] = {"weights": self.weights, "everyone": self.everyone}
        arrays |= {f"{OF_SITE}{site}": one for site, one in self.histograms.items()}
        content = save(arrays, {"meta": orjson.dumps(meta).decode()})
        aside = folder / f"{NAME}.aside"
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(folder / NAME)

    @classmethod
    def read(cls, folder: Path, plan: Plan) -> Checkpoint | None:
        """Return the checkpoint in `folder`, None if there is none.

        Raises
        ------
        ConfigError
            If it is that of another plan.
        ModelError
            If it is damaged.

        """
        path = folder / NAME
        if not path.is_file():
            return None
        try:
            with safe_open(str(path), framework="numpy") as file:
                meta = orjson.loads((file.metadata() or {})["meta"])
                weights, everyone = (np.asarray(file.get_tensor(name)) for name in ("weights", "everyone"))
                of_site = {name.removeprefix(OF_SITE): name for name in file.keys() if name.startswith(OF_SITE)}  # noqa: SIM118 - no mapping
                histograms = {site: np.asarray(file.get_tensor(name)) for site, name in of_site.items()}
            history = [Round.of(facts) for facts in meta["history"]]
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"The checkpoint {path} is damaged.", "Remove it to begin anew.") from error
        if other := [name for name, value in _kept(plan).items() if meta["plan"].get(name) != value]:
            was = ", ".join(f"{name} {meta['plan'].get(name)}" for name in other)
            raise ConfigError(
                f"In {folder} there is a federation with another plan ({was}).",
                "Give another folder, or remove it to begin anew.",
            )
        ended = next((i for i, one in enumerate(history) if one.kept), len(history))
        return cls(weights, everyone, history[:ended], meta["digest"], meta["id"], histograms)


def _kept(plan: Plan) -> dict[str, Any]:
    free = FREE - {"rounds"} if plan.epsilon else FREE  # sites were promised that there are so many
    return {name: value for name, value in asdict(plan).items() if name not in free}
