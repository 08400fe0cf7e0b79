"""Django settings. docs/deployment.md describes those that are environment variables."""

from __future__ import annotations

import hashlib
import hmac
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from nexus import env

BASE_DIR = Path(__file__).resolve().parent.parent

# One BLAS thread per worker: the matrices of a request are too small to gain from more. numpy reads
# this variable when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# --- Deployment ----------------------------------------------------------------------------------

# The newest version in CHANGELOG.md; the schema shows it.
VERSION = "0.2.0"
PRODUCTION = env.read_boolean("PRODUCTION", default=False)
DEBUG = env.read_boolean("DEBUG", default=False)
SECRET_KEY = env.read(
    "SECRET_KEY", example="$(python -c 'import secrets; print(secrets.token_urlsafe(64))')"
)
# The first key signs tokens, and all keys verify them. To rotate, put a new key in front and remove
# the old one when its last token has expired. Outside production, a key is derived from SECRET_KEY.
JWT_SIGNING_KEYS: list[str] = env.read(
    "JWT_SIGNING_KEYS",
    env.parse_secret_keys,
    default=None
    if PRODUCTION
    else [hmac.new(SECRET_KEY.encode(), b"JWT_SIGNING_KEYS", hashlib.sha256).hexdigest()],
    example="$(python -c 'import secrets; print(secrets.token_urlsafe(48))')",
)
# The container's health check uses the names of the machine itself.
ALLOWED_HOSTS = [
    *env.read("ALLOWED_HOSTS", env.parse_list, default=[]),
    *("localhost", "127.0.0.1", "[::1]"),
]
if render_host := os.environ.get("RENDER_EXTERNAL_HOSTNAME"):
    ALLOWED_HOSTS.append(render_host)
CORS_ALLOWED_ORIGINS: list[str] = env.read(
    "CORS_ALLOWED_ORIGINS", env.parse_origins, default=[], example="https://app.example.org"
)
CORS_ALLOW_HEADERS = ["authorization", "content-type", "if-match", "if-none-match", "x-request-id"]
CORS_EXPOSE_HEADERS = [
    "Age",
    "Content-Disposition",
    "Content-Language",
    "ETag",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
]

ROOT_URLCONF = "nexus.urls"
WSGI_APPLICATION = "nexus.wsgi.application"
# PathMiddleware handles missing slashes: Django would redirect a POST, which loses its body.
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
    "procrastinate.contrib.django",
    "nexus.core",
    "movies",
    "accounts",
    "social",
    "tmdb",
    "recommendations",
]
if not PRODUCTION:
    # `manage.py run` and the embedded servers.
    INSTALLED_APPS.append("nexus.dev")

MIDDLEWARE = [
    "nexus.core.middleware.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "nexus.core.middleware.PathMiddleware",
    # Before the next one, which compares the ETags of uncompressed responses.
    "nexus.core.middleware.CompressionMiddleware",
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

# The number of our own proxies that append to X-Forwarded-For. With 0 the header is ignored.
TRUSTED_PROXIES: int = env.read(
    "TRUSTED_PROXIES", env.parse_integer, minimum=0, maximum=10, default=0, example="1"
)
# `make run` turns it off, because it serves plain HTTP on localhost.
HTTPS = env.read_boolean("HTTPS", default=True)
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
# The proxy redirects plain HTTP. A redirect by Django would turn a POST into a GET.
SECURE_SSL_REDIRECT = False
SILENCED_SYSTEM_CHECKS = ["security.W008"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "nexus.core.api.exceptions.csrf_failure"

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["accounts.hashers.PBKDF2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": name}
    for name in (
        "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "django.contrib.auth.password_validation.MinimumLengthValidator",
        "django.contrib.auth.password_validation.NumericPasswordValidator",
        "accounts.password_validators.KnownPasswordValidator",
    )
]

# --- Data ----------------------------------------------------------------------------------------

# gunicorn.conf.py starts this many workers.
WEB_CONCURRENCY: int = env.read(
    "WEB_CONCURRENCY", env.parse_integer, minimum=1, maximum=64, default=2
)
# The connections to PostgreSQL that a process opens at most.
DATABASE_POOL_SIZE = 8
# nexus.wsgi sets it. A request has time limits that a migration or an import must not have.
SERVING = env.read_boolean("SERVING", default=False)

_postgres_settings = {
    # The planner's default for random reads (4) is for spinning disks.
    "random_page_cost": "1.1",
    # A bitmap of the pages of a million movies fits into memory.
    "work_mem": "16MB",
    # Every search scans the part of the search index that is not sorted yet.
    "gin_pending_list_limit": "512kB",
    # Statements queue behind one that waits for a lock, so nothing waits for long.
    "lock_timeout": "2s",
}
if SERVING:
    _postgres_settings |= {
        "statement_timeout": "5s",
        "idle_in_transaction_session_timeout": "30s",
        # A parallel query would take the cores that other requests wait for.
        "max_parallel_workers_per_gather": "0",
    }
_database_options: dict[str, Any] = {
    "options": " ".join(f"-c {name}={value}" for name, value in _postgres_settings.items()),
    "connect_timeout": 2,
    # A request that waits for a connection longer than the timeout is a 503. The requests of a worker
    # share one core, so more connections would not serve them faster (ADR 22).
    "pool": {
        "max_size": DATABASE_POOL_SIZE,
        "timeout": 3,
        # 100 requests at a time wait 2 s at most; 200 would wait longer than the timeout.
        **({"min_size": 4, "max_waiting": 200} if SERVING else {"min_size": 1}),
    },
}


def _read_database(name: str) -> dict[str, Any]:
    example = "postgres://user:password@host:5432/nexus"
    database: dict[str, Any] = env.read(name, env.parse_database_url, example=example)
    database["OPTIONS"] = {**database.get("OPTIONS", {}), **_database_options}
    database["CONN_HEALTH_CHECKS"] = True
    return database


DATABASES = {"default": _read_database("DATABASE_URL")}
DATABASES["default"]["TEST"] = {"NAME": env.read("TEST_DATABASE", default="test_nexus")}
if os.environ.get("DATABASE_REPLICA_URL"):
    DATABASES["replica"] = _read_database("DATABASE_REPLICA_URL")
    DATABASES["replica"]["TEST"] = {"MIRROR": "default"}
    DATABASE_ROUTERS = ["nexus.core.db.routers.ReplicaRouter"]
    MIDDLEWARE.insert(
        MIDDLEWARE.index("nexus.core.middleware.PathMiddleware") + 1,
        "nexus.core.db.routers.ReplicaMiddleware",
    )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": env.read(
            "REDIS_URL",
            env.parse_url,
            schemes=("redis", "rediss", "unix"),
            example="redis://host:6379/0",
        ),
        "KEY_PREFIX": "nexus",
        "OPTIONS": {
            # Unpickling would run code that an attacker has written to the cache.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "SOCKET_CONNECT_TIMEOUT": 0.1,
            "SOCKET_TIMEOUT": 0.2,
        },
    }
}

# --- Background work -----------------------------------------------------------------------------

# Besides the `tasks` module of each app.
PROCRASTINATE_IMPORT_PATHS = ["social.transfer.tasks"]
# A worker that starts runs what it has missed. The longest period of any periodic task is a week.
PROCRASTINATE_PERIODIC_DEFAULTS = {"max_delay": timedelta(days=7).total_seconds()}
# Deleting an account deletes its jobs.
PROCRASTINATE_READONLY_MODELS = False

# --- Language and time ---------------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

# --- Static files --------------------------------------------------------------------------------

STATIC_URL = "static/"
# The image contains the collected files. A checkout serves them from the packages.
STATIC_ROOT = BASE_DIR / "staticfiles" if PRODUCTION else None
# collectstatic also writes a compressed copy of each file.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = False

# --- The API -------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.PersonalAccessTokenAuthentication",
        "accounts.authentication.FamilyJWTAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticatedOrReadOnly"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["nexus.core.api.parsers.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": None,
    "EXCEPTION_HANDLER": "nexus.core.api.exceptions.handle_exception",
    "DEFAULT_SCHEMA_CLASS": "nexus.core.api.openapi.ContractSchema",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SIMPLE_JWT: dict[str, Any] = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "ALGORITHM": "HS256",
    # Required by SimpleJWT. nexus.core.api.jwt signs and verifies with all keys.
    "SIGNING_KEY": JWT_SIGNING_KEYS[0],
    "ISSUER": "nexus-movie-api",
    "AUDIENCE": "nexus-movie-api",
    # The clocks of two servers may differ by this: one issues a token, the other checks it.
    "LEEWAY": timedelta(seconds=60),
    "AUTH_TOKEN_CLASSES": ["nexus.core.api.jwt.AccessToken"],
}
# Refreshing does not extend a session beyond this.
SESSION_FAMILY_LIFETIME = timedelta(days=90)
# So long after its use, a refresh token gets the same successor again.
REFRESH_REPEAT_INTERVAL = timedelta(seconds=10)
# A guest who has not registered within it is deleted.
GUEST_LIFETIME = timedelta(days=7)
PASSWORD_RESET_TIMEOUT = 3600
# The page of a client, with {uid} and {token}. Without one, the mail contains the two values alone.
PASSWORD_RESET_URL: str = env.read("PASSWORD_RESET_URL", default="")

EMAIL_VERIFICATION_TIMEOUT = timedelta(days=3)
# The address of this service in mails, which the task worker cannot see in a request.
PUBLIC_URL: str = env.read(
    "PUBLIC_URL",
    env.parse_url,
    schemes=("https", "http"),
    default="",
    example="https://api.example.org",
).rstrip("/")
# The page of a client, with {uid} and {token}. Without one it is ours, and without PUBLIC_URL the mail
# contains the two values alone.
EMAIL_VERIFICATION_URL: str = env.read(
    "EMAIL_VERIFICATION_URL",
    default=f"{PUBLIC_URL}/auth/email/confirm/?uid={{uid}}&token={{token}}" if PUBLIC_URL else "",
)

# The first segments of paths, in the order in which both schemas list their operations.
API_TAGS = {
    "auth": "Accounts, tokens and sessions. Begin with `POST /auth/register/` or `POST /auth/token/`.",
    "movies": "The catalogue, recommendations and match scores.",
    "genres": "TMDb's genres.",
    "people": "Directors and casts, and their movies.",
    "collections": "Series of movies.",
    "groups": "A few members who choose a movie together. Begin with `POST /groups/join/`.",
    "providers": "Companies that show movies, by region. Data by JustWatch.",
    "feedback": "Movies that the caller has hidden, or wants more or less of.",
    "ratings": "The caller's ratings and reviews.",
    "watchlist": "Movies that the caller wants to see.",
    "history": "When the caller watched what.",
    "scrobbles": "Webhooks of the caller's media servers.",
    "playlists": "Ordered lists of movies, private or shared.",
    "profiles": "Members: profiles, statistics, who follows whom.",
    "feed": "What the members whom the caller follows rated, reviewed and published.",
    "blocks": "Members whom the caller has blocked.",
    "imports": "Files of other services, read into the caller's account.",
    "exports": "Everything the caller owns, as files.",
    "tmdb": "TMDb's own catalogue: search it and import from it.",
}
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.0",
    "VERSION": VERSION,
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    # Operations are sorted by API_TAGS and the order of the routes.
    "SORT_OPERATIONS": False,
    "SORT_OPERATION_PARAMETERS": False,
    "SCHEMA_PATH_PREFIX": "/",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    # Without drf-spectacular's own hook, which would name each enum and warn where names collide.
    "POSTPROCESSING_HOOKS": ["nexus.core.api.openapi.postprocess"],
}

SWAGGER_SETTINGS = {
    "DEFAULT_INFO": "nexus.core.api.schema.API_INFO",
    "DEFAULT_AUTO_SCHEMA_CLASS": "nexus.core.api.schema.ContractAutoSchema",
    "DEFAULT_SPEC_RENDERERS": [
        "nexus.core.api.schema_renderers.YAMLSchemaRenderer",
        "nexus.core.api.schema_renderers.JSONSchemaRenderer",
        "nexus.core.api.schema_renderers.OpenAPISchemaRenderer",
    ],
    "USE_SESSION_AUTH": False,
    "SECURITY_DEFINITIONS": {
        "Bearer": {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "description": "The access token of `/auth/token/`. In Swagger UI with or without "
            "`Bearer` in front; other clients send `Bearer <access>`.",
        }
    },
    # Otherwise Swagger UI sends the schema to validator.swagger.io.
    "VALIDATOR_URL": None,
    # The token survives a reload of the page.
    "PERSIST_AUTH": True,
    "SPEC_URL": "schema-json",
}
# drf-yasg's older renderers are deprecated.
SWAGGER_USE_COMPAT_RENDERERS = False
# Responses stay folded: the page takes many seconds to render with all of them expanded.
REDOC_SETTINGS = {"SPEC_URL": "schema-json", "NATIVE_SCROLLBARS": True, "EXPAND_RESPONSES": ""}

# Scope: (requests, seconds of the window), counted for all workers together.
RATE_LIMITS = {
    # All requests of a client address, and of a member, in the units of REQUEST_UNITS.
    "address": (1200, 60),
    "member": (600, 60),
    # Attempts of a client address.
    "login": (20, 60),
    # Failed logins of one account, and of all accounts together.
    "login_account": (10, 300),
    "login_overall": (600, 300),
    "register": (20, 3600),
    "guest": (20, 3600),
    "password_reset": (10, 3600),
    "password_reset_account": (3, 3600),
    # Attempts to verify, resend and change, and the mails that one mailbox gets.
    "email": (20, 3600),
    "verification_mail": (5, 3600),
    "tmdb": (30, 60),
    "tmdb_bulk": (10, 60),
    "import": (20, 3600),
    "export": (20, 3600),
    # Deleted accounts of a client address.
    "account_deletion": (10, 3600),
    # Changes of a member's visibility.
    "visibility": (5, 86_400),
    # Join codes that a client address, and a member, may try.
    "group_join": (20, 3600),
}
# How many rows of each table one member may own. Beyond it a request is a 409 that names the quota,
# except for sessions and known addresses, of which the oldest end.
MEMBER_QUOTAS = {
    "ratings": 50_000,
    "reviews": 5_000,
    "watchlist_items": 10_000,
    "viewings": 100_000,
    "viewing_notes": 5_000,
    "feedback": 20_000,
    # The feed query reads one index entry for each followed member (social/queries.py); with this many
    # it takes at most 50 ms.
    "follows": 2_000,
    "blocks": 5_000,
    "groups": 20,
    # In one group.
    "group_votes": 200,
    "reports": 1_000,
    "playlists": 500,
    # In one playlist, and in all of a member's.
    "playlist_items": 5_000,
    "all_playlist_items": 250_000,
    "imports": 20,
    # Five of the largest files.
    "import_rows": 500_000,
    "sessions": 50,
    "access_tokens": 25,
    # Of one session. A client that refreshes when its access token expires spends 8,640 in 90 days.
    "spent_tokens": 10_000,
    # Home, work, a phone network or two, and the addresses they change to.
    "known_addresses": 8,
}
RATE_LIMIT_SCALE: float = env.read("RATE_LIMIT_SCALE", env.parse_positive_number, default=1.0)

# What a request costs: 20 ms of CPU are a unit, for the costliest request of an operation with 10,000
# movies. `python -m benchmarks.costs` measures it, and docs/reliability.md has the figures.
REQUEST_UNITS = {
    "GET /": 1,
    "GET /favicon.ico": 1,
    "GET /swagger/": 1,
    "GET /redoc/": 1,
    "GET /swagger.json": 1,
    "GET /swagger.yaml": 1,
    "GET /openapi.json": 1,
    "GET /openapi.yaml": 1,
    "GET /health/ready/": 1,
    # All pages of the admin.
    "/admin/": 6,
    # One password is hashed, or two are.
    "POST /auth/register/": 15,
    "POST /auth/guest/": 1,
    "POST /auth/guest/register/": 15,
    "POST /auth/token/": 15,
    "POST /auth/password/change/": 30,
    "POST /auth/password/reset/confirm/": 15,
    "POST /auth/password/reset/": 1,
    "POST /auth/email/verify/": 1,
    "POST /auth/email/verify/resend/": 1,
    "POST /auth/email/change/": 15,
    # The page that a verification mail links to.
    "GET /auth/email/confirm/": 1,
    "POST /auth/email/confirm/": 1,
    "POST /auth/token/refresh/": 1,
    "POST /auth/token/verify/": 1,
    "POST /auth/logout/": 1,
    "POST /auth/logout/all/": 1,
    "GET /auth/sessions/": 1,
    "DELETE /auth/sessions/{pk}/": 1,
    "GET /auth/access-tokens/": 1,
    "POST /auth/access-tokens/": 1,
    "DELETE /auth/access-tokens/{pk}/": 1,
    "GET /movies/": 3,
    "GET /movies/top_rated/": 3,
    "GET /movies/trending/": 2,
    "GET /movies/recommendations/": 9,
    "GET /movies/onboarding/": 2,
    "GET /movies/{pk}/": 1,
    "GET /movies/{pk}/?append=": 5,
    "GET /movies/states/": 4,
    # The movie may have to be read from TMDb and stored.
    "GET /movies/{pk}/watch_providers/": 2,
    "GET /movies/{pk}/videos/": 2,
    "GET /movies/{pk}/releases/": 2,
    "GET /providers/": 2,
    "GET /movies/{pk}/match_score/": 2,
    "GET /movies/{pk}/similar/": 2,
    "GET /movies/{movie_id}/reviews/": 2,
    "PUT /movies/{pk}/feedback/": 1,
    "DELETE /movies/{pk}/feedback/": 1,
    "GET /feedback/": 2,
    "GET /genres/": 1,
    "GET /people/": 2,
    "GET /people/{pk}/": 1,
    "GET /people/{pk}/movies/": 2,
    "GET /collections/{pk}/": 1,
    "GET /profiles/me/": 1,
    "PUT /profiles/me/": 1,
    "PATCH /profiles/me/": 1,
    # Everything that a member owns is deleted.
    "DELETE /profiles/me/": 50,
    "GET /profiles/stats/": 6,
    "GET /profiles/{username}/": 1,
    "GET /profiles/{username}/stats/": 6,
    "GET /profiles/{username}/ratings/": 2,
    "GET /profiles/{username}/playlists/": 8,
    "GET /profiles/{username}/followers/": 2,
    "GET /profiles/{username}/following/": 2,
    "PUT /profiles/{username}/follow/": 1,
    "DELETE /profiles/{username}/follow/": 1,
    "PUT /profiles/{username}/block/": 1,
    "DELETE /profiles/{username}/block/": 1,
    "GET /blocks/": 1,
    "GET /feed/": 5,
    "GET /groups/": 2,
    "POST /groups/": 1,
    "POST /groups/join/": 1,
    "GET /groups/{pk}/": 1,
    "PATCH /groups/{pk}/": 1,
    "DELETE /groups/{pk}/": 1,
    "POST /groups/{pk}/leave/": 1,
    "POST /groups/{pk}/join_code/": 1,
    "DELETE /groups/{pk}/members/{username}/": 1,
    "GET /groups/{pk}/recommendations/": 10,
    "GET /groups/{pk}/votes/": 2,
    "PUT /groups/{pk}/votes/{movie_id}/": 1,
    "DELETE /groups/{pk}/votes/{movie_id}/": 1,
    "GET /watchlist/": 2,
    "POST /watchlist/": 1,
    # Up to 500 movies with their releases.
    "GET /watchlist/calendar/": 4,
    "POST /watchlist/calendar/feed/": 1,
    "GET /calendar/{secret}.ics": 6,
    "PUT /watchlist/{movie_id}/": 1,
    "DELETE /watchlist/{movie_id}/": 1,
    "GET /history/": 2,
    "POST /history/": 2,
    "POST /scrobbles/{server}/": 2,
    "DELETE /history/{pk}/": 1,
    "GET /ratings/": 2,
    "POST /ratings/": 1,
    "GET /ratings/{pk}/": 1,
    "PUT /ratings/{pk}/": 1,
    "PATCH /ratings/{pk}/": 1,
    "DELETE /ratings/{pk}/": 1,
    "POST /ratings/{pk}/report/": 1,
    "GET /playlists/": 8,
    "POST /playlists/": 5,
    "GET /playlists/{pk}/": 4,
    "PUT /playlists/{pk}/": 5,
    "PATCH /playlists/{pk}/": 5,
    "DELETE /playlists/{pk}/": 1,
    # Up to as many rows as a playlist holds are written.
    "POST /playlists/{pk}/copy/": 11,
    "PUT /playlists/{pk}/items/order/": 8,
    "DELETE /playlists/{pk}/items/{movie_id}/": 8,
    "GET /playlists/{pk}/items/": 2,
    "POST /playlists/{pk}/items/": 3,
    "PATCH /playlists/{pk}/items/{movie_id}/": 1,
    "GET /imports/": 1,
    # A file of 20 MiB.
    "POST /imports/": 25,
    "GET /imports/template.csv": 1,
    "GET /imports/{pk}/": 2,
    "DELETE /imports/{pk}/": 1,
    "PATCH /imports/{pk}/rows/{number}/": 1,
    "POST /imports/{pk}/match/": 1,
    "POST /imports/{pk}/apply/": 1,
    "POST /imports/{pk}/undo/": 1,
    # As many rows as are written within the request.
    "GET /exports/": 18,
    "GET /tmdb/search/": 1,
    "POST /tmdb/import/": 2,
    "POST /tmdb/import/bulk/": 5,
    "GET /tmdb/status/": 1,
}

# Seconds that public responses of the catalogue are cached for; 0 turns the response cache off.
RESPONSE_CACHE_TTL_S = 60

MAX_BODY_BYTES = 256 * 1024
# A webhook with a picture.
MAX_WEBHOOK_BYTES = 2 * 1024 * 1024
# Path: limit. An import is a file of at most 20 MiB and its multipart/form-data headers.
BODY_LIMITS = {
    "/imports/": 20 * 1024 * 1024 + 64 * 1024,
    **{f"/scrobbles/{name}/": MAX_WEBHOOK_BYTES for name in ("plex", "jellyfin", "emby", "kodi")},
}
# At least the limit of each body that is read into memory, so that BodyLimitMiddleware rejects a larger
# one first, as problem+json.
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_WEBHOOK_BYTES

# --- TMDb ----------------------------------------------------------------------------------------

# A v4 read access token or a v3 key. Without one, /tmdb/ responds with 503.
TMDB_TOKEN: str = env.read("TMDB_ACCESS_TOKEN", default="") or env.read("TMDB_API_KEY", default="")
TMDB_BASE_URL: str = env.read(
    "TMDB_BASE_URL",
    env.parse_url,
    schemes=("https", "http"),
    default="https://api.themoviedb.org/3",
).rstrip("/")
# The pages of each of TMDb's lists that are stored every week; 0 stores none.
TMDB_SYNC_PAGES: int = env.read(
    "TMDB_SYNC_PAGES",
    env.parse_integer,
    minimum=0,
    maximum=500,
    default=25 if PRODUCTION else 0,
)
TMDB_IMAGE_BASE_URL = "https://image.tmdb.org/t/p/"

# --- Imports -------------------------------------------------------------------------------------

# An import is deleted so many days after it is done.
IMPORT_RETENTION_DAYS = 30
# The function that looks up movies the catalogue does not have: a dotted path, because social must
# not import tmdb.
IMPORT_MOVIE_LOOKUP = "tmdb.reference_lookup.look_up_movies" if TMDB_TOKEN else ""

# --- Recommendations -----------------------------------------------------------------------------

# Whether a fixed formula of TMDb's votes replaces missing ratings. The model learns from the ratings
# of our own members in either case.
RECOMMEND_WITH_TMDB_VOTES = env.read_boolean("RECOMMEND_WITH_TMDB_VOTES", default=True)

# --- Mail ----------------------------------------------------------------------------------------

NO_EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
# Without EMAIL_URL, a developer reads mails in the log. Logs of production must not contain them.
_default_mail_backend = (
    NO_EMAIL_BACKEND if PRODUCTION else "django.core.mail.backends.console.EmailBackend"
)
_mail = env.read(
    "EMAIL_URL",
    env.parse_mail_url,
    default={"EMAIL_BACKEND": _default_mail_backend},
    example="smtp+tls://user:password@host:587",
)
EMAIL_BACKEND = _mail["EMAIL_BACKEND"]
EMAIL_HOST = _mail.get("EMAIL_HOST", "")
EMAIL_PORT = _mail.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = _mail.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = _mail.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = _mail.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 5
DEFAULT_FROM_EMAIL = env.read("EMAIL_FROM", default="Nexus Movie API <no-reply@localhost>")

# --- Metrics -------------------------------------------------------------------------------------

# The bearer token of /metrics. Without one, /metrics is closed in production and open elsewhere.
METRICS_TOKEN: str = env.read("METRICS_TOKEN", default="")

# --- Log -----------------------------------------------------------------------------------------

LOG_LEVEL: str = env.read(
    "LOG_LEVEL",
    env.parse_choice,
    choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
    default="INFO",
)
_formatter = "JsonFormatter" if PRODUCTION else "ReadableFormatter"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": f"nexus.core.observability.logging.{_formatter}"}},
    "filters": {"routine_jobs": {"()": "nexus.core.observability.logging.RoutineJobFilter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # RequestLogMiddleware logs each request in one line, with its traceback.
        "django.request": {"level": "CRITICAL"},
        "django.server": {"level": "CRITICAL"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        # Every process registers all tasks when it starts.
        "procrastinate": {"level": "WARNING"},
        # The start and the end of each job, with its traceback if it fails.
        "procrastinate.worker": {"level": LOG_LEVEL, "filters": ["routine_jobs"]},
        "procrastinate.worker.jobs": {"level": "WARNING"},
    },
}
