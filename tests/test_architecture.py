"""The house rules that a machine can check: layers, sizes, names, and words that must not occur."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cache_admin import exceptions

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "cache_admin"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))

#: Where any error may be caught: each isolates the failure of one thing from the rest, or translates it.
CATCH_ALL = {
    "adapters/__init__.py": "a backend of any make raises what it likes while it is loaded; translated",
    "caching/dropping.py": "a failing rule never stops the others nor breaks the save",
    "caching/purging.py": "a failing purge is tried again, and never breaks the save",
    "caching/receivers.py": "a rule that cannot be filled in never breaks the save",
    "caching/warming.py": "a failing warmer never stops the others",
    "adapters/fallback.py": "a cache of any make raises what it likes; translated",
    "health/finding.py": "a failing finder is said and breaks no page",
    "metrics/collector.py": "a server that cannot be told never costs the scrape",
    "operations/driving.py": "a failing operation ends as failed, not the process",
    "operations/recompute.py": "the function of a project fails as it likes; told in words",
    "operations/runner.py": "a failing operation ends as failed, not the process",
    "operations/queueing.py": "a queue of any make raises what it likes; the operation is interrupted and says so",
    "panels/base.py": "a card fails alone",
    "monitoring/instrument.py": "a class that cannot be watched is left alone",
    "monitoring/listeners.py": "a failing listener never reaches the caller of a cache",
    "monitoring/middleware.py": "a failure in looking at the user never costs the response",
    "monitoring/telling.py": "told and raised again: what a cache raises is the caller's",
    "monitoring/ticker.py": "a failing job never stops the others",
    "monitoring/watched.py": "told and raised again: what a cache raises is the caller's",
    "monitoring/watching.py": "told and raised again: what a cache raises is the caller's",
    "monitoring/sampler.py": "a failure in sampling never reaches the page",
}
COMMANDS = re.compile(r"(FLUSHDB|FLUSHALL|KEYS|EVAL|EVALSHA|MONITOR|DEBUG [A-Z]+|CONFIG SET)(\s|$)")
METHODS = {"flushdb", "flushall", "eval", "evalsha", "monitor", "config_set", "debug_object", "delete_pattern"}
UNSAFE_NAMES = {"mark_safe", "SafeString", "SafeText", "Unpickler"}
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve"}
CLIENTS = {"redis", "django_redis", "valkey", "django_valkey", "pymemcache", "pylibmc"}
IN_TEMPLATES = {
    "the safe filter": r"\|\s*safe(seq)?\b",
    "autoescape off": r"autoescape\s+off",
    "an inline style": r"<style\b|\sstyle\s*=",
    "an inline handler": r"\s(on[a-z]+|hx-on[\w:-]*)\s*=",
    "an inline script": r"<script\b(?![^>]*\ssrc=)|javascript:",
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), str(path))


def places(path: Path, nodes: Iterator[ast.AST]) -> list[str]:
    return [f"{name(path)}:{getattr(node, 'lineno', 0)}: {ast.unparse(node)[:80]}" for node in nodes]


def texts(module: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Every string and bytes literal outside docstrings, and the leading literals of every call as one text."""
    docstrings = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield node, _text(node.value)
        elif isinstance(node, ast.Call | ast.Tuple | ast.List):
            items = node.args if isinstance(node, ast.Call) else node.elts
            yield node, " ".join(_text(item.value) for item in items if isinstance(item, ast.Constant))


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""


def imports(module: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node, node.module


def attribute_calls(module: ast.Module) -> Iterator[tuple[ast.Call, ast.Attribute]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node, node.func


def test_imports_go_downward_only() -> None:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    ran = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_modules_are_short() -> None:
    assert [name(path) for path in MODULES if len(path.read_text().splitlines()) > 300] == []


def test_templates_are_short() -> None:
    assert [name(path) for path in TEMPLATES if len(path.read_text().splitlines()) > 80] == []


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "common", "misc"}
    assert [name(path) for path in MODULES if drawers & {*path.with_suffix("").parts[len(PACKAGE.parts) :]}] == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_command_that_hurts_a_server(path: Path) -> None:
    module = tree(path)
    named = (node for node, text in texts(module) if COMMANDS.match(text.strip()))
    called = (
        call
        for call, method in attribute_calls(module)
        if method.attr in METHODS or (method.attr == "keys" and _is_client(method)) or _clears_a_cache(method)
    )
    assert places(path, named) + places(path, called) == []


def _is_client(method: ast.Attribute) -> bool:
    return re.search(r"(client|redis|connection|pipe|pipeline|cache)(\(.*\))?$", ast.unparse(method.value)) is not None


def _clears_a_cache(method: ast.Attribute) -> bool:
    return (
        method.attr in {"clear", "aclear"}
        and re.search(r"\bcaches?(\[[^\]]*\])?$", ast.unparse(method.value)) is not None
    )


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_value_is_unpickled_or_called_safe(path: Path) -> None:
    module = tree(path)
    imported = (node for node, source in imports(module) if source.partition(".")[0] in UNSAFE_MODULES)
    used = (
        node
        for node in ast.walk(module)
        if (isinstance(node, ast.Name) and node.id in {*UNSAFE_NAMES, "eval", "exec", "__import__"})
        or (isinstance(node, ast.Attribute) and node.attr in UNSAFE_NAMES)
        or (isinstance(node, ast.ImportFrom) and UNSAFE_NAMES & {alias.name for alias in node.names})
    )
    assert places(path, imported) + places(path, used) == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_only_adapters_know_a_client_library(path: Path) -> None:
    if path.parent.name != "adapters":
        assert places(path, (node for node, source in imports(tree(path)) if source.partition(".")[0] in CLIENTS)) == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_any_error_is_caught_only_where_a_failure_is_isolated(path: Path) -> None:
    caught = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ExceptHandler) and _catches_all(node)]
    if path.relative_to(PACKAGE).as_posix() not in CATCH_ALL:
        assert places(path, iter(caught)) == []
    else:
        assert places(path, (node for node in caught if not _logs_or_raises(node))) == []


def _catches_all(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or bool(re.search(r"\b(Base)?Exception\b", ast.unparse(handler.type)))


def _logs_or_raises(handler: ast.ExceptHandler) -> bool:
    logs = {"exception", "error", "warning"}
    return any(
        isinstance(node, ast.Raise) or (isinstance(node, ast.Attribute) and node.attr in logs)
        for node in ast.walk(handler)
    )


def test_every_class_of_the_style_sheets_is_worn_and_every_class_worn_is_there() -> None:
    """A class that a template composes is known by its fixed part."""
    sheets = "".join(path.read_text() for path in (ROOT / "static" / "cache_admin").glob("*.css"))
    styled = set(re.findall(r"\.(ca-[a-z0-9-]+)", sheets))
    html = "".join(path.read_text() for path in TEMPLATES)
    scripts = "".join(path.read_text() for path in (ROOT / "static" / "cache_admin").glob("*.js"))
    worn = {word for value in re.findall(r'class="([^"]*)"', html) for word in re.findall(r"ca-[a-z0-9-]+", value)}
    composed = {word for word in worn if word.endswith("-")}
    assert [
        one for one in styled if one not in worn and not one.startswith(tuple(composed)) and one not in scripts
    ] == []
    hooks = {one for one in worn if re.search(rf"\.{one}\b", scripts)}
    found_by_tests = {"ca-deploy"}
    assert worn - styled - composed - hooks == found_by_tests


#: What is raised before translations can be there.
UNTRANSLATED = {"caching/compression.py": "decorators come here before the apps are loaded"}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_sentences_for_people_are_translated(path: Path) -> None:
    ours = {kind.__name__ for kind in vars(exceptions).values() if isinstance(kind, type)}
    bare = (
        node
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in ours
        and node.args
        and isinstance(node.args[0], ast.Constant | ast.JoinedStr)
    )
    assert path.relative_to(PACKAGE).as_posix() in UNTRANSLATED or places(path, bare) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_templates_hold_nothing_that_runs_inline(path: Path) -> None:
    text = path.read_text()
    assert [what for what, pattern in IN_TEMPLATES.items() if re.search(pattern, text, re.IGNORECASE)] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("client.execute_command('KEYS', pattern)", True),
        ("client.execute_command('CONFIG', 'SET', name)", True),
        ("command = b'FLUSHDB'", True),
        ("'''Never KEYS or FLUSHDB.'''", False),
        ("name = 'KEYS_TO_SHOW'", False),
        ("client.execute_command('CONFIG', 'GET', name)", False),
    ],
)
def test_the_walk_finds_commands(source: str, found: bool) -> None:
    assert any(COMMANDS.match(text.strip()) for _, text in texts(ast.parse(source))) is found


@pytest.mark.parametrize(
    ("source", "found"),
    [("cache.clear()", True), ("self.cache.clear()", True), ("caches[alias].clear()", True), ("names.clear()", False)],
)
def test_the_walk_finds_a_cleared_cache(source: str, found: bool) -> None:
    assert any(_clears_a_cache(method) for _, method in attribute_calls(ast.parse(source))) is found


@pytest.mark.parametrize(
    ("html", "what"),
    [
        ("{{ key|safe }}", "the safe filter"),
        ("{{ key|safe_name }}", None),
        ('<p style="color: red">', "an inline style"),
        ('<a onclick="go()">', "an inline handler"),
        ('<a hx-on:click="go()">', "an inline handler"),
        ("<script>go()</script>", "an inline script"),
        ("<script src=\"{% static 'a.js' %}\" defer></script>", None),
    ],
)
def test_the_patterns_find_what_runs_inline(html: str, what: str | None) -> None:
    assert [found for found, pattern in IN_TEMPLATES.items() if re.search(pattern, html)] == ([what] if what else [])
