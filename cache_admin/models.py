"""Tables: the unmanaged admin entry that carries the permissions, operations, censuses, and server samples.

An operation is progress while it runs and audit afterwards.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


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
            ("view_audit", _("Can see who changed what")),
        ]
        verbose_name = _("cache")
        verbose_name_plural = _("caches")

    def __str__(self) -> str:
        return "cache"


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
    summary = models.CharField(max_length=500, help_text="What it does, in one sentence for people.")
    reason = models.CharField(max_length=500, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    username = models.CharField(
        max_length=200, help_text="Kept when the user is deleted; 'terminal: name' for commands."
    )
    params = models.JSONField(default=dict, help_text="What was confirmed; never changed afterwards.")
    cursor = models.JSONField(default=dict, help_text="Where to go on; written after every step.")
    planned_keys = models.BigIntegerField(null=True, blank=True)
    planned_bytes = models.BigIntegerField(null=True, blank=True)
    scanned = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True, blank=True, help_text="Keys to scan, for the progress bar.")
    done_keys = models.BigIntegerField(default=0)
    done_bytes = models.BigIntegerField(default=0)
    skipped_keys = models.BigIntegerField(default=0, help_text="Matching keys left alone because they are protected.")
    error = models.TextField(blank=True)
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

    class Meta:
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


class ServerSample(models.Model):
    """One reading of a server's counters, at most one per server and step, whoever took it."""

    server = models.CharField(max_length=64, help_text="Digest of alias location and node; never an address.")
    slot = models.BigIntegerField(help_text="Unix time divided by the step.")
    at = models.FloatField(help_text="Unix time, seconds.")
    run_id = models.CharField(max_length=64)
    reading = models.JSONField()

    class Meta:
        default_permissions = ()
        ordering = ["slot"]
        constraints = [models.UniqueConstraint(fields=["server", "slot"], name="cache_admin_one_sample_per_step")]

    def __str__(self) -> str:
        return f"{self.server} {self.slot}"
