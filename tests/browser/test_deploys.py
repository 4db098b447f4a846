"""Task 9, on what the shop and one of its deploys really do: visitors before and after, in processes of their own.

Only time is made up: what was counted and marked is moved back, as if the deploy were minutes ago.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedded import running
from playwright.sync_api import Browser

from tests.browser.conftest import Operator
from tests.browser.test_fits import TOO_WIDE

PROJECT = Path(__file__).parent.parent.parent / "example_project"
SERVE = """
import threading, demo, django
web = demo.reserve_port()
django.setup()
with demo.serving(web):
    print(web.server_port, flush=True)
    threading.Event().wait()
"""
#: As if the second deploy were some minutes ago, its visitors came two minutes later, and those before it in time.
MINUTES_AGO = """
from django.db.models import F
from cache_admin.models import Deploy, Usage
Usage.objects.filter(at__lt={between}).update(at=F("at") - 345)
Usage.objects.filter(at__gte={between}).update(at=F("at") - 120)
Deploy.objects.filter(at__gte={between}).update(at=F("at") - 240)
"""
LONG_AGO = """
from django.db.models import F
from cache_admin.models import Deploy, Usage
Usage.objects.update(at=F("at") - 1_500)
Deploy.objects.update(at=F("at") - 1_500)
"""
ROLL_UP = """
from cache_admin.models import Lease
from cache_admin.monitoring import rollup
Lease.objects.all().delete()
rollup.run()
"""

pytestmark = [pytest.mark.browser, pytest.mark.servers]


class Site:
    """The shop of the example, release by release."""

    def __init__(self, database: Path, redis_url: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        self.environment = {
            **inherited,
            "REDIS_URL": redis_url,
            "SHOP_DATABASE": str(database),
            "DJANGO_SETTINGS_MODULE": "shop_site.settings",
            "PORT": "0",
            "RELEASE": "2026.11.1",
        }

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        ran = subprocess.run(command, cwd=PROJECT, env=self.environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def visit(self, visits: int) -> None:
        """Visitors of the release that is out. Their process writes down what it counted, at the latest at its end."""
        self.manage("shop_visit", f"--visits={visits}", "--rate=10000")

    def scan(self) -> None:
        """Samples of a machine under load see few keys; this counts all, and the looks of the next minutes take it."""
        self.manage("cache_report", "--full", "--json")

    def shell(self, code: str) -> None:
        self.manage("shell", "--verbosity=0", "-c", code)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A shop that was visited, deployed anew with mistakes, and visited again."""
    with running() as server:
        site = Site(tmp_path / "db.sqlite3", server.url)
        site.manage("migrate", "--verbosity=0")
        site.manage("shop_load")
        site.visit(300)  # marks 2026.11.1
        site.shell(LONG_AGO)
        site.visit(800)
        site.scan()
        between = time.time()
        site.manage("shop_deploy")
        site.environment["RELEASE"] = "2026.11.2"
        site.visit(800)  # marks 2026.11.2
        site.shell(MINUTES_AGO.format(between=between))
        site.shell(ROLL_UP)
        site.scan()
        yield site


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    command = [sys.executable, "-c", SERVE]
    process = subprocess.Popen(command, cwd=PROJECT, env=site.environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/admin/"
        process.terminate()


@pytest.fixture
def person(browser: Browser, address: str) -> Iterator[Operator]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.goto(address)
    page.fill("#id_username", "viewer")
    page.fill("#id_password", "viewer")
    page.click("[type=submit]")
    yield Operator(page, address)
    context.close()


def test_task_9_did_the_last_deploy_hurt(person: Operator) -> None:
    person.click("Caches")
    person.click("Deploys")
    sentence = person.page.locator(".ca-sentence .ca-verdict")
    sentence.wait_for()
    assert re.search(r"\d patterns? worse", sentence.inner_text())
    person.sees("since 2026.11.2")
    person.sees("of version 1 left behind")
    table = person.page.locator("table.ca-deploy")

    def verdicts(pattern: str) -> str:
        row = table.locator("tbody tr", has=person.page.get_by_role("link", name=pattern, exact=True)).first
        return row.locator(".ca-verdicts").inner_text()

    assert "lost its expiry" in verdicts("throttle_search_*")
    assert "hit rate \u2212" in verdicts("template.cache.product_card.*")
    assert "nobody uses it" in verdicts("views:product:*")
    assert "new and never expires" in table.inner_text()
    assert person.clicks <= 2
    for width in (1280, 390):
        person.page.set_viewport_size({"width": width, "height": 900})
        assert person.page.evaluate(TOO_WIDE) == []
