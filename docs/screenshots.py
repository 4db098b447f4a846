"""Takes the screenshots of the README and the documentation from a running demo: ``make screenshots``.

Starts the example shop on a free port with a server of its own, signs in, scans everything, and writes PNG files into
``docs/images``. Needs Chromium on PATH.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
HOME = "cache_admin/cache/"
PAGES = {
    "overview": "",
    "dashboard": "alias/default/",
    "patterns": "alias/default/patterns/",
    "hit-rates": "alias/default/hit-rates/",
    "health": "alias/default/health/",
    "invalidate": "alias/default/invalidate/?kind=glob&target=product:*",
}


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        sys.exit("Chromium is not on PATH.")
    IMAGES.mkdir(exist_ok=True)
    demo = subprocess.Popen(
        [sys.executable, ROOT / "example_project" / "demo.py"],
        env={**os.environ, "PORT": "0", "KEYS": os.environ.get("KEYS", "20000")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert demo.stdout
    try:
        words = dict(line.strip().split(" ", 1) for line in (demo.stdout.readline(), demo.stdout.readline()))
        name, password = words["LOGIN"].split()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            for scheme in ("light", "dark"):
                context = browser.new_context(viewport={"width": 1280, "height": 860}, color_scheme=scheme)
                take(context.new_page(), words["URL"], name, password, scheme)
            browser.close()
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(30)


def take(page: Page, url: str, name: str, password: str, scheme: str) -> None:
    page.goto(url)
    page.fill("#id_username", name)
    page.fill("#id_password", password)
    page.click("[type=submit]")
    if scheme == "light":
        page.goto(f"{url}{HOME}alias/default/patterns/")
        page.get_by_role("button", name="Scan everything").click()
        page.locator(".ca-result", has_text="memory of this cache are exact now").wait_for(timeout=120_000)
        # The charts need some readings to draw.
        page.goto(f"{url}{HOME}alias/default/")
        page.wait_for_timeout(90_000)
    for label, path in PAGES.items():
        page.goto(f"{url}{HOME}{path}")
        page.wait_for_timeout(3_000)
        page.screenshot(path=IMAGES / f"{label}-{scheme}.png", full_page=label != "overview")
    page.goto(f"{url}{HOME}alias/default/keys/?mode=glob&q=user:*:dashboard_stats")
    page.locator(".ca-table tbody a").first.click()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=IMAGES / f"key-{scheme}.png", full_page=True)


if __name__ == "__main__":
    main()
