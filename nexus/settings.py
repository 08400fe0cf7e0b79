"""Settings, each read from the environment by name and safe by default; README.md lists them."""

from __future__ import annotations

import hashlib
import hmac
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from nexus import env

BASE_DIR = Path(__file__).resolve().parent.parent

# numpy's BLAS would start a thread a core in every worker, for matrices too small to gain by it;
# it reads this when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# --- What this instance is -----------------------------------------------------------------------

PRODUCTION = env.flag("PRODUCTION", default=False)
DEBUG = env.flag("DEBUG", default=False)
SECRET_KEY = env.text(
    "SECRET_KEY", example="$(python -c 'import secrets; print(secrets.token_urlsafe(64))')"
)
# The first signs tokens, all verify them: a new one is put in front, and the old one taken away when
# its last token has expired. In production a key of its own; elsewhere one is made of SECRET_KEY.
JWT_SIGNING_KEYS = env.keys(
    "JWT_SIGNING_KEYS",
    default=None
    if PRODUCTION
    else hmac.new(SECRET_KEY.encode(), b"JWT_SIGNING_KEYS", hashlib.sha256).hexdigest(),
    example="$(python -c 'import secrets; print(secrets.token_urlsafe(48))')",
)
# This machine's own names are always served: the container's health check comes by them.
ALLOWED_HOSTS = [*env.names("ALLOWED_HOSTS"), "localhost", "127.0.0.1", "[::1]"]
if render_host := os.environ.get("RENDER_EXTERNAL_HOSTNAME"):
    ALLOWED_HOSTS.append(render_host)
CORS_ALLOWED_ORIGINS = env.origins("CORS_ALLOWED_ORIGINS", example="https://app.example.org")
CORS_EXPOSE_HEADERS = [
    "Age",
    "ETag",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
]

ROOT_URLCONF = "nexus.urls"
WSGI_APPLICATION = "nexus.wsgi.application"
# The slash rule of the contract (never redirect a write) is in nexus.core.middleware.
APPEND_SLASH = False

INSTALLED_APPS = [
    "accounts.apps.NexusAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "corsheaders",
    "rest_framework",
    "drf_yasg",
    "nexus.core",
    "movies",
    "accounts",
    "social",
    "tmdb",
    "recommendations",
]
if not PRODUCTION:
    # The embedded servers and `manage.py run`.
    INSTALLED_APPS.append("nexus.dev")

MIDDLEWARE = [
    "nexus.core.middleware.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "nexus.core.middleware.PathMiddleware",
    "nexus.core.middleware.ConditionalGetMiddleware",
    "nexus.core.middleware.RateLimitMiddleware",
    "nexus.core.middleware.ResponseCacheMiddleware",
    "nexus.core.middleware.BodyLimitMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "nexus" / "templates"],
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

# --- Security ------------------------------------------------------------------------------------

# How many proxies in front append to X-Forwarded-For; 0: none is believed.
TRUSTED_PROXIES = env.whole_number("TRUSTED_PROXIES", default=0, at_least=0, at_most=10)
# Off only where `make run` serves plain HTTP on localhost.
HTTPS = env.flag("HTTPS", default=True)
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
# The proxy redirects plain HTTP; here a redirect would turn a POST into a GET.
SECURE_SSL_REDIRECT = False
SILENCED_SYSTEM_CHECKS = ["security.W008"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "nexus.core.api.exceptions.csrf_failure"

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- Data ----------------------------------------------------------------------------------------

WEB_CONCURRENCY = env.whole_number("WEB_CONCURRENCY", default=2, at_least=1, at_most=64)
WEB_THREADS = 4

DATABASES = {
    "default": {
        **env.database("DATABASE_URL", example="postgres://user:password@host:5432/nexus"),
        "CONN_HEALTH_CHECKS": True,
        "TEST": {"NAME": env.text("TEST_DATABASE", default="test_nexus")},
    }
}
# A request may not take longer; a migration, an import or a test's database may. wsgi.py sets it.
SERVING = env.flag("SERVING", default=False)
# Nor take the other cores from those who wait for them.
_request_limits = (
    "-c statement_timeout=5s -c idle_in_transaction_session_timeout=30s"
    " -c max_parallel_workers_per_gather=0"
)
# A bitmap of a million films' pages fits into memory, and a page out of order costs little more
# than the next one, as on any disk without moving parts.
_planning = "-c work_mem=16MB -c random_page_cost=1.1"
# What writers leave to be sorted into the index of words is read through by each search.
_pending = "-c gin_pending_list_limit=512kB"
# One connection a thread, open from the start, so that no thread waits for another; where the
# database is gone two wait 3 s for its return and the rest are told so at once (503), so that
# whatever needs no database is still answered.
_pool = {"min_size": WEB_THREADS, "max_waiting": 2} if SERVING else {"min_size": 1}
_options: dict[str, Any] = {
    "pool": {"max_size": WEB_THREADS + 3, "timeout": 3, **_pool},
    # Nobody waits long for a lock: a migration behind a long reader would stop all others.
    "options": f"-c lock_timeout=2s {_planning} {_pending} {_request_limits if SERVING else ''}".strip(),
    "connect_timeout": 2,
    # Of statements that are prepared by name (nexus.core.db.raw_sql) alone; a pooler that gives each
    # transaction another connection must know of them (PgBouncer 1.21), or this is off.
    "prepare_threshold": 5 if env.flag("DATABASE_PREPARES", default=True) else None,
}
if os.environ.get("DATABASE_REPLICA_URL"):
    # A streaming replica for visitors' reads of the catalogue (nexus.core.db.routers).
    DATABASES["replica"] = {
        **env.database(
            "DATABASE_REPLICA_URL", example="postgres://user:password@replica:5432/nexus"
        ),
        "CONN_HEALTH_CHECKS": True,
        "TEST": {"MIRROR": "default"},
    }
    DATABASE_ROUTERS = ["nexus.core.db.routers.ReplicaRouter"]
    MIDDLEWARE.insert(
        MIDDLEWARE.index("nexus.core.middleware.PathMiddleware") + 1,
        "nexus.core.db.routers.ReplicaMiddleware",
    )
for _database in DATABASES.values():
    _database["ENGINE"] = "django.db.backends.postgresql"
    _database["OPTIONS"] = {**_database.get("OPTIONS", {}), **_options}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": env.url(
            "REDIS_URL", schemes=("redis", "rediss", "unix"), example="redis://host:6379/0"
        ),
        "KEY_PREFIX": "nexus",
        "OPTIONS": {
            # Never pickle: whoever can write to the cache could run code here.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "SOCKET_CONNECT_TIMEOUT": 0.1,
            "SOCKET_TIMEOUT": 0.2,
        },
    }
}

# --- Language and time ---------------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

# --- Static files --------------------------------------------------------------------------------

STATIC_URL = "static/"
# Collected when the container is built; a checkout serves them straight from the packages.
STATIC_ROOT = BASE_DIR / "staticfiles" if PRODUCTION else None
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = False

# --- The API -------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.FamilyJWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticatedOrReadOnly"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["nexus.core.api.parsers.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": None,
    "EXCEPTION_HANDLER": "nexus.core.api.exceptions.handle_exception",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SIMPLE_JWT: dict[str, Any] = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "ALGORITHM": "HS256",
    # nexus.core.api.jwt signs and verifies; this key is for nobody who goes past it.
    "SIGNING_KEY": JWT_SIGNING_KEYS[0],
    "ISSUER": "nexus-movie-api",
    "AUDIENCE": "nexus-movie-api",
    "AUTH_TOKEN_CLASSES": ["nexus.core.api.jwt.AccessToken"],
}
# A session ends here however often it is refreshed.
SESSION_FAMILY_LIFETIME = timedelta(days=90)
# How long the token of a reset mail holds.
PASSWORD_RESET_TIMEOUT = 3600
# The client's page for it, with {uid} and {token}; without one the mail holds the two alone.
PASSWORD_RESET_URL = env.text("PASSWORD_RESET_URL", default="")

SWAGGER_SETTINGS = {
    "DEFAULT_INFO": "nexus.core.api.schema.API_INFO",
    "DEFAULT_AUTO_SCHEMA_CLASS": "nexus.core.api.schema.ContractAutoSchema",
    "USE_SESSION_AUTH": False,
    "SECURITY_DEFINITIONS": {
        "Bearer": {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "description": "`Bearer <access>`, the access token of `/auth/token/`",
        }
    },
    # No schema is sent to a validator on another host.
    "VALIDATOR_URL": None,
    "SPEC_URL": "schema-json",
}
# drf-yasg's older renderers are deprecated.
SWAGGER_USE_COMPAT_RENDERERS = False
# Answers folded: with all of them open the page takes many seconds to show.
REDOC_SETTINGS = {"SPEC_URL": "schema-json", "NATIVE_SCROLLBARS": True, "EXPAND_RESPONSES": ""}

# Requests and their window in seconds, by scope; counted for all workers together.
RATE_LIMITS = {
    # All requests of a client address without a token, and of a member.
    "anonymous": (120, 60),
    "member": (600, 60),
    # Of those: what a member writes, and searches of the catalogue by whomever.
    "write": (300, 60),
    "search": (90, 60),
    # Attempts of a client address; wrong passwords for one account, and for all together.
    "login": (20, 60),
    "login_account": (10, 300),
    "login_overall": (600, 300),
    "register": (20, 3600),
    "password_reset": (10, 3600),
    "password_reset_account": (3, 3600),
    "tmdb": (30, 60),
    "tmdb_bulk": (10, 60),
    "import": (20, 3600),
    "export": (20, 3600),
}
RATE_LIMIT_SCALE = env.positive_number("RATE_LIMIT_SCALE", default=1.0)

# Seconds that public responses of the catalogue are cached for; 0 turns the response cache off.
RESPONSE_CACHE_TTL_S = 60

MAX_BODY_BYTES = 256 * 1024
# Where more may come in: a file of 20 MiB to import, and what multipart/form-data wraps it in.
BODY_LIMITS = {"/imports/": 20 * 1024 * 1024 + 64 * 1024}
# Above our own limit, so that ours answers first and with a problem document.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * MAX_BODY_BYTES

# --- TMDb ----------------------------------------------------------------------------------------

# A v4 read access token or a v3 key; without one, the /tmdb/ calls answer 503.
TMDB_TOKEN = env.text("TMDB_ACCESS_TOKEN", default="") or env.text("TMDB_API_KEY", default="")
TMDB_BASE_URL = env.url(
    "TMDB_BASE_URL",
    schemes=("https", "http"),
    default="https://api.themoviedb.org/3",
    example="https://api.themoviedb.org/3",
).rstrip("/")
TMDB_IMAGE_BASE_URL = "https://image.tmdb.org/t/p/"

# --- Imports -------------------------------------------------------------------------------------

# Where films that the catalogue does not have are looked for: a path, because social may not know
# tmdb. Empty: nowhere.
IMPORT_MOVIE_LOOKUP = "tmdb.reference_lookup.look_up_movies" if TMDB_TOKEN else ""

# --- Recommendations -----------------------------------------------------------------------------

# Whether TMDb's votes may stand in, as a fixed formula, for ratings that are not there yet. What is
# learned is learned from our own members' ratings alone, either way.
RECOMMEND_WITH_TMDB_VOTES = env.flag("RECOMMEND_WITH_TMDB_VOTES", default=True)

# --- Mail ----------------------------------------------------------------------------------------

_mail = env.email("EMAIL_URL", example="smtp+tls://user:password@host:587")
EMAIL_BACKEND = _mail["EMAIL_BACKEND"]
EMAIL_HOST = _mail.get("EMAIL_HOST", "")
EMAIL_PORT = _mail.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = _mail.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = _mail.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = _mail.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 5
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", default="Nexus Movie API <no-reply@localhost>")
NO_EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
if PRODUCTION and not os.environ.get("EMAIL_URL"):
    # What a mail holds has no business in a log that others read.
    EMAIL_BACKEND = NO_EMAIL_BACKEND

# --- Metrics -------------------------------------------------------------------------------------

# Who may read /metrics; without it nobody in production, and anybody elsewhere.
METRICS_TOKEN = env.text("METRICS_TOKEN", default="")

# --- Log -----------------------------------------------------------------------------------------

LOG_LEVEL = env.one_of(
    "LOG_LEVEL", choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), default="INFO"
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "nexus.core.observability.logging.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # RequestLogMiddleware writes the one line a request gets, with its traceback.
        "django.request": {"level": "CRITICAL"},
        "django.server": {"level": "CRITICAL"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "django": {"handlers": [], "level": "INFO", "propagate": True},
    },
}
