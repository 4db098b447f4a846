"""What the caching library tells others, for counting and showing. Sent with ``send_robust``: a failing receiver is
logged and never breaks the caller."""

from django.dispatch import Signal

#: A value was computed and offered to the cache. ``sender`` is the name of its owner (str); ``alias`` str, ``key`` the
#: user key, ``seconds`` float.
computed = Signal()
#: An invalidation rule ran after commit. ``sender`` is the model class; ``rule`` its name, ``dropped`` int keys or
#: tags, ``seconds`` float, ``error`` the exception or ``None``.
rule_fired = Signal()
#: A warmer ended. ``sender`` is its name (str); ``written`` int keys, ``seconds`` float, ``error`` the exception or
#: ``None``.
warmed = Signal()
