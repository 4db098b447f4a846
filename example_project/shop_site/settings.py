"""Settings of the example shop, as the settings of a project that uses Django Cache Admin look.

All that the dashboard needs is in ``INSTALLED_APPS``: ``django_htmx`` and ``cache_admin``. The middleware tells staff
in response headers what a page asked of the caches.
"""

import os
from pathlib import Path

from shop import releases

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = "an example, not a secret"
DEBUG = os.environ.get("DEBUG", "1") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", "testserver"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_htmx",
    "cache_admin",
    "shop",
]

MIDDLEWARE = [
    "cache_admin.monitoring.middleware.CacheMonitoringMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "shop_site.urls"
WSGI_APPLICATION = "shop_site.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", BASE_DIR / "db.sqlite3"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"},
    }
}

# What is out, and its name where a process serves it: the first one marks a deploy, which the page Deploys compares.
RELEASE = releases.current(DATABASES["default"]["NAME"])
CACHE_ADMIN = {"RELEASE": os.environ.get("RELEASE", "")}

# One server. Database 0 is shared by three aliases and a task queue, as in many real projects; pages have database 1.
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
DATABASE = f"{REDIS_URL}{'&' if '?' in REDIS_URL else '?'}db="

TIMEOUTS = {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1}  # seconds
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": f"{DATABASE}0",
        "KEY_PREFIX": "shop",
        "OPTIONS": {"COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor", **TIMEOUTS},
    },
    "sessions": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": f"{DATABASE}0",
        "KEY_PREFIX": "sessions",
        # While the server is away, sessions come from the database, and nobody is signed out.
        "OPTIONS": {"IGNORE_EXCEPTIONS": True, **TIMEOUTS},
    },
    "long_term": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": f"{DATABASE}0",
        "KEY_PREFIX": "long_term",
        "VERSION": RELEASE,  # what one release keeps there, the next cannot read
        "TIMEOUT": 7 * 24 * 3600,
        "OPTIONS": {"SERIALIZER": "django_redis.serializers.json.JSONSerializer", **TIMEOUTS},
    },
    "pages": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": f"{DATABASE}1",
        "KEY_PREFIX": "pages",
    },
}

# Where a proxy in front of the shop listens, as http://127.0.0.1:6081; what changes is purged there too.
SHOP_PROXY = os.environ.get("SHOP_PROXY", "")

SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
SESSION_CACHE_ALIAS = "sessions"

LANGUAGE_CODE = "en-us"
LANGUAGES = [("en-us", "English"), ("de", "Deutsch")]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
LOGIN_URL = "admin:login"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
