"""Tables: the unmanaged admin entry that carries the permissions, operations, and what is remembered of the caches.

An operation is progress while it runs and audit afterwards.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models, router
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cache_admin.models.counted import Lease, Probes, ServerSample, Tally, Usage, UsageTotal
from cache_admin.words import one_line

__all__ = [
    "Cache",
    "CensusReport",
    "Deploy",
    "FreeText",
    "Growth",
    "Lease",
    "MutedFinding",
    "Operation",
    "Probes",
    "ServerSample",
    "Tally",
    "Usage",
    "UsageTotal",
    "ValueReport",
]

if TYPE_CHECKING:
    _Line = models.CharField[str, str]
else:
    _Line = models.CharField


class FreeText(_Line):
    """What people and programs say: one line, cut at its length, without what no database, page or terminal should get,
    see :func:`~cache_admin.words.one_line`."""

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return one_line(value)[: self.max_length] if isinstance(value, str) else value

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, _path, arguments, options = super().deconstruct()
        return name, "django.db.models.CharField", arguments, options


class Cache(models.Model):
    """The entry in the admin index. It has no table; its permissions are the permissions of the dashboard."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [
            ("view_cache", _("Can see the cache pages: patterns, key names, figures")),
            ("view_values", _("Can see cached values")),
            ("invalidate", _("Can invalidate patterns and delete keys")),
            ("invalidate_protected", _("Can invalidate protected keys: sessions, locks, throttles, queues")),
            ("change_keys", _("Can change the expiry of keys")),
            ("run_warmers", _("Can run warmers")),
            ("recompute", _("Can compute a cached value anew to compare it")),
            ("mute_findings", _("Can mute findings about the health of a cache")),
            ("view_audit", _("Can see who changed what")),
        ]
        verbose_name = _("cache")
        verbose_name_plural = _("caches")

    def __str__(self) -> str:
        return "cache"


class WrittenManager(models.Manager["Operation"]):
    """Reads where it is written: a replica shows later who drives an operation, and that it was cancelled."""

    def get_queryset(self) -> models.QuerySet[Operation]:
        return super().get_queryset().using(self._db or router.db_for_write(self.model))


class Operation(models.Model):
    """One change of a cache, or one long job. Written before its first step, and never deleted while it can still be
    resumed."""

    class State(models.TextChoices):
        RUNNING = "running", _("Running")
        INTERRUPTED = "interrupted", _("Interrupted")
        CANCELLED = "cancelled", _("Cancelled")
        FAILED = "failed", _("Failed")
        REFUSED = "refused", _("Refused")
        DONE = "done", _("Done")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=32)
    alias = models.CharField(max_length=100)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    summary = FreeText(max_length=500, help_text="What it does, in one sentence for people.")
    reason = FreeText(max_length=500, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    username = FreeText(max_length=200, help_text="Kept when the user is deleted; 'terminal: name' for commands.")
    params = models.JSONField(default=dict, help_text="What was confirmed; never changed afterwards.")
    cursor = models.JSONField(default=dict, help_text="Where to go on; written after every step.")
    planned_keys = models.BigIntegerField(null=True, blank=True)
    planned_bytes = models.BigIntegerField(null=True, blank=True)
    scanned = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True, blank=True, help_text="Keys to scan, for the progress bar.")
    done_keys = models.BigIntegerField(default=0)
    done_bytes = models.BigIntegerField(default=0)
    skipped_keys = models.BigIntegerField(default=0, help_text="Matching keys left alone because they are protected.")
    slow = models.JSONField(
        default=dict, help_text="The last step that a slow server took long for, see driving.py; empty without any."
    )
    error = FreeText(max_length=2000, blank=True)
    cancel_requested = models.BooleanField(default=False)
    lease_owner = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    nonce = models.CharField(max_length=64, unique=True, help_text="Makes a confirmation usable once.")
    active_key = models.CharField(
        max_length=64,
        unique=True,
        null=True,
        blank=True,
        help_text="Set while active; two of one kind cannot run at once.",
    )
    created = models.DateTimeField(default=timezone.now, db_index=True)
    finished = models.DateTimeField(null=True, blank=True)

    objects = WrittenManager()

    class Meta:
        base_manager_name = "objects"
        default_permissions = ()
        ordering = ["-created"]
        indexes = [models.Index(fields=["alias", "-created"], name="cache_admin_op_alias")]

    def __str__(self) -> str:
        return self.summary

    @property
    def is_active(self) -> bool:
        """Still running, or waiting to be resumed."""
        return self.state in {self.State.RUNNING, self.State.INTERRUPTED}


class CensusReport(models.Model):
    """A stored census of an alias, complete or what was seen before it stopped."""

    alias = models.CharField(max_length=100)
    created = models.DateTimeField(default=timezone.now)
    complete = models.BooleanField()
    scanned = models.BigIntegerField()
    total = models.BigIntegerField()
    report = models.JSONField()

    class Meta:
        default_permissions = ()
        ordering = ["-created"]
        indexes = [models.Index(fields=["alias", "-created"], name="cache_admin_census_alias")]

    def __str__(self) -> str:
        return f"{self.alias} {self.created:%Y-%m-%d %H:%M}"


class Deploy(models.Model):
    """A moment at which other code began to run, and what the caches held then."""

    label = FreeText(max_length=200)
    at = models.FloatField(db_index=True, help_text="Unix time, seconds.")
    username = FreeText(max_length=200, blank=True, help_text="Who marked it; empty for the setting RELEASE.")
    contents = models.JSONField(default=dict, help_text="By alias: what was there at that moment, see contents.py.")
    verdicts = models.JSONField(
        default=dict, help_text="Patterns by kind of verdict; written down when the next deploy is marked."
    )

    class Meta:
        default_permissions = ()
        ordering = ["-at", "-pk"]

    def __str__(self) -> str:
        return self.label


class Growth(models.Model):
    """What the patterns of one alias held on one day, from the last look of that day."""

    alias = models.CharField(max_length=100)
    day = models.DateField()
    complete = models.BooleanField(help_text="Counted to the last key; else estimated from a sample.")
    contents = models.JSONField(help_text="By pattern: keys, bytes, and the share that never expires.")

    class Meta:
        default_permissions = ()
        ordering = ["day"]
        constraints = [models.UniqueConstraint(fields=["alias", "day"], name="cache_admin_one_growth")]

    def __str__(self) -> str:
        return f"{self.alias} {self.day}"


class ValueReport(models.Model):
    """What a walk over the values of one alias found: those that nobody can read any more."""

    alias = models.CharField(max_length=100)
    created = models.DateTimeField(default=timezone.now)
    looked_at = models.BigIntegerField(help_text="Values read.")
    report = models.JSONField()

    class Meta:
        default_permissions = ()
        ordering = ["-created"]
        indexes = [models.Index(fields=["alias", "-created"], name="cache_admin_values_alias")]

    def __str__(self) -> str:
        return f"{self.alias} {self.created:%Y-%m-%d %H:%M}"


class MutedFinding(models.Model):
    """A finding that somebody knows of and does not want to be told again."""

    alias = models.CharField(max_length=100)
    code = FreeText(max_length=300, help_text="Which finding, see docs/health.md.")
    text = FreeText(max_length=500, help_text="What it said when it was muted.")
    reason = FreeText(max_length=500)
    username = FreeText(max_length=200)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        ordering = ["-created"]
        constraints = [models.UniqueConstraint(fields=["alias", "code"], name="cache_admin_muted_once")]

    def __str__(self) -> str:
        return self.text
