"""The rules that judge one pattern before and after a deploy, by how much was seen: noise is no verdict. Pure.

Shares of look-ups are compared by Wilson's intervals, counts of a sampled keyspace by their own: intervals that overlap
are no difference. Both sides are of stretches of equal length; where the traffic changed, what is expected after is
scaled by it.
"""

from __future__ import annotations

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from cache_admin import words
from cache_admin.keyspace import estimates
from cache_admin.keyspace.report import Estimate
from cache_admin.keyspace.verdicts import ORDER, Basis, Side, Verdict

#: Look-ups on either side below which a hit rate says nothing, and its least difference that does.
LOOKUPS, POINTS = 50, 0.05
#: So much must have been expected of what did not happen: by chance that is less than one in 10^8.
EXPECTED = 20
ERRORS = 5
#: Share of what was expected that may still come of a pattern that vanished.
STRAGGLERS = 0.02
#: Rebuilds on either side, the factor between their times, and its least difference in seconds.
REBUILDS, SLOWER, SLOWER_SECONDS = 20, 1.5, 0.005
#: Keys below which a pattern is not missed, and what a pattern has to grow by.
KEYS, GROWTH, GROWTH_KEYS, GROWTH_BYTES = 10, 1.5, 100, 100_000
#: Share, or keys, that must have lost their expiry.
ENDLESS_SHARE, ENDLESS_KEYS = 0.1, 20
#: Buckets of ``report.TTL_EDGES`` by which the median life became shorter.
SOONER = 2
_ENDLESS = 1e15  #: population of look-ups, of which those counted are a sample


def judge(before: Side, after: Side, basis: Basis) -> tuple[Verdict, ...]:
    """All verdicts on one pattern, worst first."""
    found = [
        verdict
        for rule in (vanished, new, hit_rate, errors, unwritten, lost_expiry, rebuild, size, sooner)
        if (verdict := rule(before, after, basis))
    ]
    kinds = {verdict.kind for verdict in found}
    if "vanished" in kinds:
        found = [verdict for verdict in found if verdict.kind != "shrank"]
    return tuple(sorted(found, key=lambda verdict: ORDER[verdict.kind]))


def vanished(before: Side, after: Side, basis: Basis) -> Verdict | None:
    """Its keys are gone and nobody uses them, or nobody uses it any more and they are left."""
    expected = basis.expected(before.used)
    # While processes are replaced one by one, those of the release before still ask.
    if after.used * basis.share > expected * STRAGGLERS:
        return None
    unused = expected >= EXPECTED
    held = before.holding.keys if before.holding else Estimate.of(0)
    gone = after.holding is None and held.value >= KEYS and held.low > basis.unseen_after
    if gone and (unused or not basis.fresh):
        return Verdict("vanished", _("vanished"), held.value)
    if not unused:
        return None
    if after.holding is None:
        return Verdict("vanished", _("vanished: nobody uses it any more"), before.used)
    keys = _number(after.holding.keys)
    return Verdict("vanished", _("vanished: nobody uses it, %(keys)s keys are left") % {"keys": keys}, before.used)


def new(before: Side, after: Side, basis: Basis) -> Verdict | None:
    """It was not there, nor asked for."""
    if before.used or before.holding:
        return None
    met = after.holding is not None and after.holding.keys.value >= KEYS
    seen = met and after.holding is not None and after.holding.keys.low > basis.unseen_before
    counted = basis.traffic is not None and after.used * basis.share >= EXPECTED
    if not (seen or counted):
        return None
    held = after.holding
    impact = held.keys.value if held else after.used
    if held and not held.no_expiry.unknown and held.no_expiry.value > 0.5 and held.no_expiry.low >= 0.25:
        return Verdict("new_endless", _("new and never expires"), impact)
    return Verdict("new", _("new"), impact)


def hit_rate(before: Side, after: Side, basis: Basis) -> Verdict | None:
    """Wilson's intervals of both hit rates do not overlap."""
    one, other = before.counts, after.counts
    if min(one.lookups, other.lookups) * basis.share < LOOKUPS:
        return None
    then, now = (_rate(counts.hits, counts.lookups, basis.share) for counts in (one, other))
    difference = now.value - then.value
    if abs(difference) < POINTS or not _apart(then, now):
        return None
    text = _("hit rate %(points)s points") % {"points": points(difference)}
    return Verdict("better" if difference > 0 else "hit_rate", text, abs(difference) * other.lookups)


def errors(before: Side, after: Side, basis: Basis) -> Verdict | None:
    """More of its operations fail."""
    one, other = before.counts, after.counts
    if other.errors * basis.share < ERRORS:
        return None
    then = _rate(one.errors, one.operations + one.errors, basis.share)
    now = _rate(other.errors, other.operations + other.errors, basis.share)
    # Where nothing was asked before, nothing failed either.
    if now.low <= (then.high if one.operations + one.errors else 0.0):
        return None
    return Verdict("errors", _("%(number)s operations failed") % {"number": words.number(other.errors)}, other.errors)


def unwritten(before: Side, after: Side, basis: Basis) -> Verdict | None:
    """It is asked for and missed, but no longer written."""
    if after.counts.sets or after.counts.misses * basis.share < EXPECTED:
        return None
    if basis.expected(before.counts.sets) < EXPECTED:
        return None
    return Verdict("unwritten", _("no longer written: every miss stays one"), after.counts.misses)


def lost_expiry(before: Side, after: Side, basis: Basis) -> Verdict | None:
    """Keys of a pattern that used to expire are kept for ever."""
    if not (before.holding and after.holding):
        return None
    then, now = before.holding, after.holding
    if then.no_expiry.unknown or now.no_expiry.unknown or now.no_expiry.low <= then.no_expiry.high:
        return None
    large = now.no_expiry.value - then.no_expiry.value >= ENDLESS_SHARE
    first = then.endless.high < 1 and now.endless.low >= ENDLESS_KEYS
    if not (large or first) or now.endless.value < ENDLESS_KEYS:
        return None
    values = {"keys": _number(now.endless), "before": _number(then.endless)}
    return Verdict("endless", _("lost its expiry: %(keys)s keys never expire") % values, now.endless.value)


def rebuild(before: Side, after: Side, basis: Basis) -> Verdict | None:
    """Computing a value takes longer, or less time."""
    one, other = before.counts, after.counts
    if min(one.rebuilds, other.rebuilds) * basis.share < REBUILDS or not one.rebuild or not other.rebuild:
        return None
    ratio = other.rebuild / one.rebuild
    if max(ratio, 1 / ratio) < SLOWER or abs(other.rebuild - one.rebuild) < SLOWER_SECONDS:
        return None
    lost = abs(other.rebuild - one.rebuild) * other.rebuilds
    if ratio > 1:
        return Verdict("slower", _("rebuilds take %(times)s times as long") % {"times": _factor(ratio)}, lost)
    return Verdict("faster", _("rebuilds are %(times)s times as fast") % {"times": _factor(1 / ratio)}, lost)


def size(before: Side, after: Side, basis: Basis) -> Verdict | None:
    """It holds more keys or bytes, or fewer. A cache that began empty tells nothing of that, one that is filled by its
    first traffic nothing of growth."""
    if basis.fresh or not (before.holding and after.holding):
        return None
    then, now = before.holding, after.holding
    pairs = [(then.keys, now.keys, GROWTH_KEYS, _("keys"))]
    if basis.measured:
        pairs.insert(0, (then.size, now.size, GROWTH_BYTES, _("memory")))
    for one, other, least, what in pairs:
        ratio = other.value / one.value if one.value else 0.0
        if not ratio or abs(other.value - one.value) < least or not _apart(one, other):
            continue
        impact = abs(now.size.value - then.size.value)
        if ratio >= GROWTH * max(1.0, basis.traffic or 1.0) and not basis.began:
            return Verdict(
                "grew", _("grew to %(times)s times its %(what)s") % {"what": what, "times": _factor(ratio)}, impact
            )
        if ratio <= 1 / GROWTH:
            return Verdict(
                "shrank",
                _("shrank to %(share)s %% of its %(what)s") % {"share": round(100 * ratio), "what": what},
                impact,
            )
    return None


def sooner(before: Side, after: Side, basis: Basis) -> Verdict | None:
    """Half of its keys that expire do so much sooner."""
    if basis.fresh or not (before.holding and after.holding):
        return None
    then, now = before.holding, after.holding
    if then.ttl is None or now.ttl is None or then.ttl - now.ttl < SOONER:
        return None
    if min(then.keys.low, now.keys.low) < EXPECTED:
        return None
    return Verdict("sooner", _("expires sooner"), now.keys.value)


def points(difference: float) -> str:
    """A difference of shares in points: "-38", "+4.2", with a real minus sign."""
    shown = abs(difference) * 100
    number = str(number_format(round(shown, 1 if shown < 10 else 0), decimal_pos=1 if shown < 10 else 0))
    return ("\u2212" if difference < 0 else "+") + number


def _rate(part: float, of: float, share: float) -> Estimate:
    return estimates.share(round(part * share), round(of * share), _ENDLESS)


def _apart(one: Estimate, other: Estimate) -> bool:
    return one.high < other.low or other.high < one.low


def _factor(ratio: float) -> str:
    return str(number_format(ratio, decimal_pos=1 if ratio < 10 else 0, force_grouping=True))


def _number(figure: Estimate) -> str:
    return words.number(figure.value, exact=figure.exact)
