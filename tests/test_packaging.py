"""What people install: the wheel holds the real files, and renders a page from a clean environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent

#: A project that has nothing but the wheel: where it runs from, what the checks say, a static file, and a page.
PROJECT = """
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="x", USE_TZ=True, ALLOWED_HOSTS=["*"], STATIC_URL="static/", ROOT_URLCONF="__main__",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.messages",
        "django.contrib.sessions", "django.contrib.staticfiles", "django_htmx", "cache_admin",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
)
django.setup()

import cache_admin
from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.core import checks
from django.core.management import call_command
from django.test import Client
from django.urls import path, reverse

urlpatterns = [path("admin/", admin.site.urls)]
call_command("migrate", verbosity=0)
client = Client()
client.force_login(User.objects.create_superuser("admin"))
page = client.get(reverse("admin:cache_admin_cache_changelist"))
print(cache_admin.__file__)
print([message.id for message in checks.run_checks()])
print(finders.find("cache_admin/vendor/chart.umd.min.js"))
print(page.status_code, b"cache_admin/cache_admin.css" in page.content)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel; its dependencies come from the environment of this run."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    with ZipFile(wheel) as archive:
        archive.extractall(packages)
    for entry in map(Path, sys.path):
        if entry.name == "site-packages":
            # A line of a .pth file adds the folder behind, and leaves the editable install in it alone.
            (packages / "dependencies.pth").write_text(f"{entry}\n")
    return folder / "bin" / "python"


def test_the_links_beside_the_package_lead_to_the_real_folders() -> None:
    for folder in ("templates", "static"):
        link = ROOT / "cache_admin" / folder
        assert link.is_symlink()
        assert link.readlink() == Path("..") / folder
        assert (link / "cache_admin").is_dir()


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    expected = {
        f"cache_admin/{path.relative_to(base).as_posix()}"
        for base in (ROOT, ROOT / "cache_admin")
        for top in ("templates", "static", "")
        for path in (base / top).rglob("*")
        if base != ROOT or top
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as archive:
        entries = {info.filename: info for info in archive.infolist()}
    held = {entry for entry in entries if entry.startswith("cache_admin/")}
    assert held == expected
    assert "cache_admin/py.typed" in held
    assert "cache_admin/templates/cache_admin/base.html" in held
    assert not any((info.external_attr >> 16) & 0o170000 == 0o120000 for info in entries.values()), (
        "a link in the wheel"
    )


def test_the_wheel_holds_the_licences(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("chart.js.LICENSE.md") and "dist-info/licenses" in name for name in names)
    assert "License-Expression: MIT" in metadata


def test_every_vendored_file_is_listed_with_its_licence() -> None:
    vendor = ROOT / "static" / "cache_admin" / "vendor"
    listed = json.dumps(json.loads((vendor / "VENDORED.json").read_text()))
    scripts = [path.name for path in vendor.iterdir() if path.suffix in {".js", ".css"}]
    assert scripts
    assert [name for name in scripts if name not in listed] == []
    assert list(vendor.glob("*.LICENSE.md"))


def test_a_project_with_only_the_wheel_shows_a_page(installed: Path, tmp_path: Path) -> None:
    foreign = {"PYTHONPATH", "PYTHONHOME", "DJANGO_SETTINGS_MODULE"}
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    ran = subprocess.run(
        [installed, "-c", PROJECT], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    package, messages, script, page = ran.stdout.splitlines()
    root = installed.parent.parent
    assert Path(package).is_relative_to(root)
    assert Path(script).is_relative_to(root)
    assert messages == "[]"
    assert page == "200 True"
