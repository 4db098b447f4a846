"""The suite on every pair of Python and Django that goes together, over the interpreters that this machine has.

``nox`` runs all; ``nox -s "tests(python='3.13', django='6.1')"`` runs one; what follows ``--`` goes to pytest.
With pyenv, name the versions first: ``PYENV_VERSION=3.11.7:3.12.1:3.13.0 nox``.
"""

from __future__ import annotations

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "venv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False

PAIRS = [
    (python, django)
    for python in ("3.11", "3.12", "3.13")
    for django in ("5.2", "6.0", "6.1")
    if python != "3.11" or django == "5.2"  # Django 6 needs Python 3.12
]


def install(session: nox.Session, *more: str) -> None:
    """The package with what its tests need."""
    session.install("--upgrade", "pip>=25.1")
    session.install("--editable", ".", "--group", "test", *more)


@nox.session
@nox.parametrize(["python", "django"], PAIRS)
def tests(session: nox.Session, django: str) -> None:
    """The whole suite."""
    install(session, f"django=={django}.*")
    session.run("python", "-m", "pytest", "-n", "2", "--dist", "loadfile", *session.posargs)


@nox.session
def postgresql(session: nox.Session) -> None:
    """What the database matters to, on PostgreSQL: ``CACHE_ADMIN_POSTGRESQL=/run/postgresql nox -s postgresql``, the
    host or the directory of the socket of a server that lets you create databases."""
    install(session, "psycopg[binary]")
    folders = [
        f"tests/{name}" for name in ("caching", "health", "keyspace", "metrics", "monitoring", "operations", "views")
    ]
    session.run(
        "python", "-m", "pytest", "-n", "2", "--dist", "loadfile", "-m", "not sqlite", *folders, *session.posargs
    )


@nox.session
def django_cache(session: nox.Session) -> None:
    """Django's own tests of its cache framework, with every cache recorded."""
    install(session)
    version = session.run("python", "-c", "import django; print(django.__version__)", silent=True).strip()
    place = session.create_tmp()
    session.run("pip", "download", "--no-deps", "--no-binary=:all:", f"--dest={place}", f"django=={version}")
    session.run("tar", "-xzf", f"{place}/django-{version}.tar.gz", "-C", place, external=True)
    session.run("python", "tests/monitoring/django_cache_suite.py", f"{place}/django-{version}/tests")
