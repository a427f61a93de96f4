"""Learn what is usual from one stretch of time, look at the next one, and print what is odd and why.

The logs are those of a simulated web shop (see docs/simulator.md). Put your own paths in their place.
Run it with: python examples/learn_and_detect.py
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import oddlog
from oddlog.datasets import simulate


def main() -> None:
    """Simulate, learn, save, load, detect."""
    with TemporaryDirectory() as folder:
        shop = simulate(Path(folder) / "shop", lines=60_000)

        # Requests are found by their trace id; the entity is watched beside them, whatever its requests look like.
        # Without `detectors` the autoencoder joins in, which takes a minute to learn.
        model = oddlog.fit(shop.train, entity="client", detectors=["snn", "ocsvm", "new-event"])
        model.save(Path(folder) / "shop.model")

        found = oddlog.load(Path(folder) / "shop.model").detect(shop.today)

    print(found.says)
    for incident in found.incidents[:10]:
        when = f"{incident.start:%H:%M:%S} to {incident.end:%H:%M:%S}" if incident.start and incident.end else "no time"
        print(f"\n{when}  {', '.join(incident.services)}  {incident.key}")
        for reason in incident.reasons:
            print(f"  {reason.kind}: {reason.text}")
        for line in incident.lines[:3]:
            print(f"    {Path(line.source).name}:{line.line}  {line.text[:140]}")


if __name__ == "__main__":
    main()
