"""What is counted: by servers, by what the application asks of its caches, by the library; and who of all processes
does it. Only ``cache_admin.monitoring`` writes here."""

from __future__ import annotations

from django.db import models


class ServerSample(models.Model):
    """One reading of a server's counters, at most one per server and step, whoever took it. Old ones are thinned.

    With ``step`` and ``slot`` 0 it is no reading: it tells since when the server was silent, and when that was noticed.
    """

    step = models.PositiveIntegerField(default=5, help_text="Seconds for which this is the only one kept.")
    server = models.CharField(max_length=64, help_text="Digest of alias location and node; never an address.")
    slot = models.BigIntegerField(help_text="Unix time divided by the shortest step.")
    at = models.FloatField(help_text="Unix time, seconds.")
    run_id = models.CharField(max_length=64)
    reading = models.JSONField()

    class Meta:
        default_permissions = ()
        ordering = ["slot"]
        constraints = [models.UniqueConstraint(fields=["server", "slot"], name="cache_admin_one_sample_per_step")]
        indexes = [models.Index(fields=["step", "at"], name="cache_admin_sample_step")]

    def __str__(self) -> str:
        return f"{self.server} {self.slot}"


class Probes(models.Model):
    """How often one process of the dashboard looked at keys of a server: those look-ups are no hits of the project."""

    server = models.CharField(max_length=64, help_text="As in ServerSample.")
    process = models.CharField(max_length=100)
    hits = models.BigIntegerField(help_text="Since the process began.")
    misses = models.BigIntegerField(help_text="Since the process began.")
    at = models.FloatField(db_index=True, help_text="Unix time of the last word of the process, seconds.")

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["server", "process"], name="cache_admin_one_probes")]

    def __str__(self) -> str:
        return f"{self.process}: {self.hits} + {self.misses}"


class Usage(models.Model):
    """What the application asked of one alias in one stretch of time, per pattern: what a process counted and wrote
    down at once (``level`` 0), or the sum of all processes (``level`` seconds long, ``source`` empty)."""

    level = models.PositiveIntegerField(help_text="Seconds of the stretch; 0 for what one process wrote down.")
    alias = models.CharField(max_length=100)
    at = models.BigIntegerField(help_text="Unix time at which the stretch begins, seconds.")
    source = models.CharField(max_length=100, blank=True, help_text="The process that counted; empty for a sum.")
    counts = models.JSONField(help_text="By pattern, see monitoring/usage.py.")
    rebuilds = models.JSONField(default=list, help_text="The longest computations of one process, for stampedes.")

    class Meta:
        default_permissions = ()
        ordering = ["at"]
        constraints = [
            models.UniqueConstraint(fields=["level", "alias", "at", "source"], name="cache_admin_one_usage"),
        ]

    def __str__(self) -> str:
        return f"{self.alias} {self.at} +{self.level}"


class UsageTotal(models.Model):
    """What the application asked of one alias since this row began, per pattern: sums that only grow."""

    alias = models.CharField(max_length=100, unique=True)
    totals = models.JSONField(default=dict, help_text="By pattern, see monitoring/totals.py.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.alias


class Lease(models.Model):
    """What one process of all does, and until when it may: the others leave it alone meanwhile."""

    name = models.CharField(max_length=100, unique=True)
    owner = models.CharField(max_length=100)
    until = models.FloatField(help_text="Unix time, seconds.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name}: {self.owner}"


class Tally(models.Model):
    """What a part of the library did in all processes of the site since this row began: figures that only grow."""

    name = models.CharField(max_length=100, unique=True)
    since = models.FloatField(help_text="Unix time, seconds.")
    figures = models.JSONField(default=dict, help_text="By name of what did it, see monitoring/tallies.py.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
