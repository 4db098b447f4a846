"""Django Cache Admin: see what fills a Django cache, and flush exactly what is stale, inside the Django admin.

Add ``"django_htmx"`` and ``"cache_admin"`` to ``INSTALLED_APPS``, run ``migrate``, and open the admin.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
