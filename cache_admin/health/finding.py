"""What a finding is, and where the finders stand. Pure.

A finder is a function under :func:`finder`: it looks at the :class:`~cache_admin.health.facts.Facts` of one alias and
yields what it finds. It knows nothing of what is muted, and says nothing where it knows too little.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from django.utils.translation import gettext as _

from cache_admin.adapters.server_info import ServerInfo
from cache_admin.registry import Registry

if TYPE_CHECKING:
    from cache_admin.health.facts import Facts
    from cache_admin.monitoring.sampler import NodeReading

logger = logging.getLogger(__name__)

Level = Literal["bad", "warn", "info"]
ORDER: dict[str, int] = {"bad": 0, "warn": 1, "info": 2}
LONGEST_CODE = 300


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth a word. ``info`` makes no alias unhealthy."""

    code: str  #: its finder and what it is about, e.g. "no-expiry:user:*"; stays the same when figures change
    level: Level
    text: str  #: one sentence without a full stop
    evidence: tuple[str, ...] = ()  #: figures with their units, estimates marked
    mend: str = ""  #: what to do, one sentence
    link: str = ""  #: name of the page where that can be done, "" for none
    template: bytes = b""  #: of the pattern that the page is to be about

    @property
    def kind(self) -> str:
        """The name of its finder."""
        return self.code.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence about an alias."""

    level: Literal["bad", "warn", "good"]
    text: str


Find = Callable[["Facts"], Iterable[Finding]]
FindOfNode = Callable[["Facts", "NodeReading", ServerInfo], Iterable[Finding]]
finders: Registry[Find] = Registry("finder")


def finder(name: str) -> Callable[[Find], Find]:
    """Registers a function whose findings have the code ``name``, or ``name:`` and what they are about."""
    return lambda function: finders.register(name, function)


def node_finder(name: str) -> Callable[[FindOfNode], FindOfNode]:
    """The same for a function that looks at one server that answers. Where there are several, each is named."""

    def register(function: FindOfNode) -> FindOfNode:
        def find(facts: Facts) -> Iterator[Finding]:
            nodes = facts.reading.nodes if facts.reading else ()
            for node in nodes:
                if node.error is not None or node.info is None:
                    continue
                for found in function(facts, node, node.info):
                    yield of_node(found, node) if len(nodes) > 1 else found

        finders.register(name, find)
        return function

    return register


def of_node(found: Finding, node: NodeReading) -> Finding:
    """A finding that names its server."""
    return replace(found, code=code(found.code, node.node.name), text=f"{node.node.name}: {found.text}")


def code(name: str, *about: str) -> str:
    """The code of a finding about something; long ones are cut and stay different."""
    whole = ":".join((name, *about))
    if len(whole) <= LONGEST_CODE:
        return whole
    return f"{whole[: LONGEST_CODE - 17]}-{sha256(whole.encode('utf-8', 'replace')).hexdigest()[:16]}"


def found_in(facts: Facts) -> tuple[Finding, ...]:
    """Everything worth a word, worst first. A finder that fails is logged and said; the others go on."""
    found: dict[str, Finding] = {}
    for name in finders.names():
        try:
            for finding in finders.get(name)(facts):
                found.setdefault(finding.code, finding)
        except Exception:
            logger.exception("The finder %s failed for %s.", name, facts.alias)
            text = _("the finder %(name)s failed; the log says why") % {"name": name}
            found[f"failed:{name}"] = Finding(f"failed:{name}", "info", text)
    return tuple(sorted(found.values(), key=lambda finding: ORDER[finding.level]))


def verdict(findings: Iterable[Finding]) -> Verdict:
    """The worst of findings that are not muted, or that the alias is healthy."""
    worst = min(findings, key=lambda finding: ORDER[finding.level], default=None)
    if worst is None or worst.level == "info":
        return Verdict("good", _("healthy"))
    return Verdict(worst.level, worst.text)
