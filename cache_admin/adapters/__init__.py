"""One adapter per alias of ``settings.CACHES``: :func:`adapter` and :func:`aliases` are the ways in.

An adapter serves cache classes by dotted path over the MRO, so a project's own subclass of ``RedisCache`` is served
as ``RedisCache``
is. Modules of client libraries are imported only when a cache that needs them is met.
"""
