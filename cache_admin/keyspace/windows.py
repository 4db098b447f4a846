"""Which stretches before and after a moment are compared: of equal length, in whole points of stored counts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cache_admin.monitoring import flushing, rollup

#: Seconds of the stretches that a page offers, by what stands in its query string.
LENGTHS: dict[str, int] = {"15m": 900, "1h": 3_600, "6h": 21_600, "24h": 86_400}
USUAL = "1h"


@dataclass(frozen=True, slots=True)
class Window:
    """Two stretches of ``points`` times ``step`` seconds. The point in which the moment itself lies is in neither."""

    at: float
    before: float  #: Unix time at which the stretch before begins
    after: float  #: Unix time at which the stretch after begins
    step: int
    points: int  #: 0: nothing can be compared
    wanted: int  #: seconds that were asked for
    #: what made it shorter than that: "now" (too little time has passed), "previous" or "next" (deploy), or ""
    limit: str = ""

    @property
    def seconds(self) -> int:
        return self.points * self.step

    @property
    def early(self) -> bool:
        """There will be more to compare later."""
        return self.limit == "now"


def window(
    at: float, now: float, wanted: int, *, previous: float | None = None, following: float | None = None
) -> Window:
    """The stretches around ``at`` that do not reach over the neighbouring deploys (Unix times), nor beyond ``now``."""
    length = min(wanted, (now if following is None else following) - at, at - previous if previous else wanted)
    step = _step(at - length, now)
    cut = int(at) - int(at) % step
    after = cut + step
    # Processes write down what they counted a moment later.
    end = now - 2 * flushing.EVERY if following is None else following
    reaches = {"now" if following is None else "next": int((end - after) // step)}
    if previous is not None:
        first = -int(-previous // step) * step
        reaches["previous"] = int((cut - first) // step)
    limit = min(reaches, key=lambda name: reaches[name])
    points = max(1, -(-wanted // step))
    if reaches[limit] >= points:
        limit = ""
    points = max(0, min(points, *reaches.values()))
    return Window(at, float(cut - points * step), float(after), step, points, wanted, limit)


def _step(oldest: float, now: float) -> int:
    """Seconds of the finest stored points that reach back to a Unix time."""
    fitting = [level for level, kept in rollup.LEVELS if now - oldest < kept - level]
    return fitting[0] if fitting else rollup.LEVELS[-1][0]
