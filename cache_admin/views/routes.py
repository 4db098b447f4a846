"""Which page stands where: (route, view, URL name without the prefix)."""

from __future__ import annotations

from cache_admin.views.base import CacheView
from cache_admin.views.census import CensusStart
from cache_admin.views.compare import KeyCompare
from cache_admin.views.dashboard import Card, Dashboard, Entry
from cache_admin.views.deploys import Deploys, DeploysExport
from cache_admin.views.find import Find, FindIn
from cache_admin.views.forecast import Forecast
from cache_admin.views.health import Health, HealthMute, HealthUnmute
from cache_admin.views.hit_rates import HitRate, HitRates, HitRatesExport
from cache_admin.views.invalidate import Invalidate, InvalidateConfirm, InvalidatePreview
from cache_admin.views.key import Key, KeyChange
from cache_admin.views.keys import Keys
from cache_admin.views.large_keys import LargeKeys
from cache_admin.views.leftovers import Leftovers, ValuesStart
from cache_admin.views.levels import Levels
from cache_admin.views.meaning import Meaning, MeaningConfirm, MeaningPreview, MeaningStarted
from cache_admin.views.operation import OperationCancel, OperationPage, OperationProgress, OperationResume
from cache_admin.views.operations import Operations, OperationsExport
from cache_admin.views.overview import Overview
from cache_admin.views.patterns import Pattern, Patterns, PatternsExport
from cache_admin.views.rules import Rules
from cache_admin.views.warmers import Warmers, WarmersStart

ROUTES: list[tuple[str, type[CacheView], str]] = [
    ("", Overview, "cache_changelist"),
    ("<str:quoted>/change/", Entry, "cache_change"),
    ("find/", Find, "find"),
    ("rules/", Rules, "rules"),
    ("levels/", Levels, "levels"),
    ("warmers/", Warmers, "warmers"),
    ("warmers/start/", WarmersStart, "warmers_start"),
    ("invalidate/", Meaning, "meaning"),
    ("invalidate/preview/", MeaningPreview, "meaning_preview"),
    ("invalidate/confirm/", MeaningConfirm, "meaning_confirm"),
    ("invalidate/started/", MeaningStarted, "meaning_started"),
    ("alias/<cache_alias:alias>/", Dashboard, "dashboard"),
    ("alias/<cache_alias:alias>/cards/<slug:slug>/", Card, "card"),
    ("alias/<cache_alias:alias>/find/", FindIn, "find_in"),
    ("alias/<cache_alias:alias>/patterns/", Patterns, "patterns"),
    ("alias/<cache_alias:alias>/patterns/export/<cache_format:kind>/", PatternsExport, "patterns_export"),
    ("alias/<cache_alias:alias>/patterns/<str:template>/", Pattern, "pattern"),
    ("alias/<cache_alias:alias>/census/", CensusStart, "census_start"),
    ("alias/<cache_alias:alias>/large-keys/", LargeKeys, "large_keys"),
    ("alias/<cache_alias:alias>/health/", Health, "health"),
    ("alias/<cache_alias:alias>/health/mute/", HealthMute, "health_mute"),
    ("alias/<cache_alias:alias>/health/unmute/", HealthUnmute, "health_unmute"),
    ("alias/<cache_alias:alias>/hit-rates/", HitRates, "hit_rates"),
    ("alias/<cache_alias:alias>/hit-rates/export/<cache_format:kind>/", HitRatesExport, "hit_rates_export"),
    ("alias/<cache_alias:alias>/hit-rates/<str:template>/", HitRate, "hit_rate"),
    ("alias/<cache_alias:alias>/forecast/", Forecast, "forecast"),
    ("alias/<cache_alias:alias>/leftovers/", Leftovers, "leftovers"),
    ("alias/<cache_alias:alias>/leftovers/values/", ValuesStart, "values_start"),
    ("alias/<cache_alias:alias>/keys/", Keys, "keys"),
    ("alias/<cache_alias:alias>/keys/<str:token>/", Key, "key"),
    ("alias/<cache_alias:alias>/keys/<str:token>/change/", KeyChange, "key_change"),
    ("alias/<cache_alias:alias>/keys/<str:token>/compare/", KeyCompare, "key_compare"),
    ("alias/<cache_alias:alias>/invalidate/", Invalidate, "invalidate"),
    ("alias/<cache_alias:alias>/invalidate/preview/", InvalidatePreview, "invalidate_preview"),
    ("alias/<cache_alias:alias>/invalidate/confirm/", InvalidateConfirm, "invalidate_confirm"),
    ("deploys/", Deploys, "deploys"),
    ("deploys/export/<cache_format:kind>/", DeploysExport, "deploys_export"),
    ("operations/", Operations, "operations"),
    ("operations/export/", OperationsExport, "operations_export"),
    ("operations/<uuid:pk>/", OperationPage, "operation"),
    ("operations/<uuid:pk>/progress/", OperationProgress, "operation_progress"),
    ("operations/<uuid:pk>/cancel/", OperationCancel, "operation_cancel"),
    ("operations/<uuid:pk>/resume/", OperationResume, "operation_resume"),
]
