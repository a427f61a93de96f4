"""Make the picture of the Rules screen in docs/page.md: a simulated shop's day, pushed to `oddlog serve`, in Chromium.

    python docs/pictures.py

writes docs/service-rules.png. It needs the extras ``service`` and ``dev`` (playwright) and Debian's chromium.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

import oddlog
from oddlog.datasets import simulate

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))
from case_studies_live import ask, entries, otlp, serving, wait_until_judged  # of the examples

AT_ONCE = 2_000  # entries
WIDTH, HEIGHT = 1160, 900
RULES = """
[[always]]
name = "nightly export"
match = "export finished"
every = "25h"
"""
AUTH = {"name": "log-ins fail", "match": "log-in failed", "service": "auth", "most": 100, "within": "10min"}
IMPORT = {"name": "price import", "service": "catalog", "match": "price list", "days": ["sat", "sun"]}
SET = (
    ("anna", "never", {"name": "processor is not set", "match": "processor.api is not set", "level": "CRITICAL"}),
    ("anna", "limit", AUTH),
    ("ben", "maintenance", {"name": "new disks", "host": "db-1, db-2", "for": "2h"}),
    ("ben", "maintenance", {**IMPORT, "from": "22:00", "to": "02:00"}),
    ("anna", "budget", {"per_day": 2}),
)


def main() -> None:
    """Simulate, learn, serve, set rules, push the day, take the picture."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        shop = simulate(folder / "shop", lines=60_000)
        oddlog.fit(shop.train, entity="client", detectors=["snn", "ocsvm", "new-event"]).save(folder / "shop.model")
        (folder / "rules.toml").write_text(RULES)
        with serving(folder, "--rules", str(folder / "rules.toml"), "--lateness", "10m") as (api, _):
            for who, kind, fields in SET:
                ask(f"{api}/v1/rules", {"kind": kind, "fields": fields, "who": who})
            send, today = otlp(folder, api, ""), entries(Path(shop.today))
            for at in range(0, len(today), AT_ONCE):
                send(today[at : at + AT_ONCE])
                wait_until_judged(api)
            shoot(f"{api}/rules", HERE / "service-rules.png")


def shoot(url: str, path: Path) -> None:
    """Take a picture of a page down to where its forms begin."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        tab.goto(url)
        ends = tab.locator("form[aria-label*=Maintenance]").bounding_box()
        height = HEIGHT if ends is None else round(ends["y"] + ends["height"] + 24)
        tab.screenshot(path=path, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
        browser.close()


if __name__ == "__main__":
    main()
