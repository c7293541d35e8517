"""All settings in one place, read from the environment (and from `.env`, which never overrides it).

The names of the variables are a contract; the README lists them. A value that cannot be read stops the start with
a line that names the variable.
"""

from datetime import timedelta
from importlib.util import find_spec
from typing import Any

from django.utils.csp import CSP
from environs import validate

from project.database import tuned
from project.environment import BASE_DIR, BELOW, DEBUG, HOST, at_least_one, env, limit, rate
from project.logs import LOGGING as LOGGING
from project.mail import mailers

SECRET_KEY = (
    env.str("SECRET_KEY", default="insecure-key-for-development-only")
    if DEBUG
    else env.str("SECRET_KEY", validate=validate.Length(min=1))
)
ALLOWED_HOSTS = env.words(
    "ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"] if DEBUG else [], form=HOST, of="a host's name alone"
)
DATABASES = {"default": tuned(env.dj_db_url("DATABASE_URL", default="sqlite:///db.sqlite3"))}

# --- the service ------------------------------------------------------------------------------------------

# Where work runs. `via=queue` is "default", every other `via` is the alias itself. While one is down its FALLBACK,
# if it has one, accepts in its place.
TASKS: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "notifications.backends.queue.QueueBackend"},
    "thread": {
        "BACKEND": "notifications.backends.thread.ThreadBackend",
        "OPTIONS": {"FALLBACK": "default"},
    },
}

# Celery, where it is wanted: `via=celery`, or as "default" instead of the queue.
if broker_url := env.str("CELERY_BROKER_URL", default=""):
    TASKS["celery"] = {
        "BACKEND": "notifications.backends.celery.CeleryBackend",
        "OPTIONS": {"BROKER_URL": broker_url, "FALLBACK": "default"},
    }

# The ways out, by alias.
CHANNELS: dict[str, dict[str, Any]] = {
    "log": {
        "BACKEND": "notifications.channels.log.LogChannel",
        "OPTIONS": {"path": BASE_DIR / env.str("NOTIFICATIONS_LOG_FILE", default="log.txt")},
    },
}
if webhook_secrets := env.words("NOTIFICATIONS_WEBHOOK_SECRETS", []):
    CHANNELS["webhook"] = {
        "BACKEND": "notifications.channels.webhook.WebhookChannel",
        "OPTIONS": {"secrets": webhook_secrets},
    }

DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="notifications@example.com")
if mailers:
    MAILERS = mailers
    CHANNELS["email"] = {
        "BACKEND": "notifications.channels.email.EmailChannel",
        "OPTIONS": {"mailers": list(mailers)},
        # A server that greylists wants to be asked again after some minutes, not seconds.
        "RETRY": {"MAX_ATTEMPTS": 10, "BASE": timedelta(seconds=30), "CAP": timedelta(minutes=30)},
    }
# `user:password` (several with commas) that the provider shows when it reports bounces and complaints.
ANYMAIL_WEBHOOK_SECRET = env.words("ANYMAIL_WEBHOOK_SECRET", [])
if DEBUG:  # slow work, for the first page to show
    CHANNELS["demo"] = {
        "BACKEND": "notifications.channels.demo.DemoChannel",
        "OPTIONS": {"path": CHANNELS["log"]["OPTIONS"]["path"], "seconds": 3},
    }

NOTIFICATIONS_VIA = env.str("NOTIFICATIONS_VIA", default="queue")
NOTIFICATIONS_CHANNEL = "log"
NOTIFICATIONS_LEASE = timedelta(seconds=30)
NOTIFICATIONS_MAX_MESSAGE_LENGTH = 10_000
NOTIFICATIONS_BULK_MAX_ITEMS = 10_000
NOTIFICATIONS_BULK_MAX_BYTES = 10 * 1024 * 1024
NOTIFICATIONS_MAX_WAIT = timedelta(seconds=10)  # `Prefer: wait` holds a thread of the server for so long

# For copies of the service that must not write to its users: one address gets all e-mail, or only these get theirs.
NOTIFICATIONS_REDIRECT_TO = env.str("NOTIFICATIONS_REDIRECT_TO", default="")
NOTIFICATIONS_ALLOWED_RECIPIENTS = env.words("NOTIFICATIONS_ALLOWED_RECIPIENTS", [])

# Where people reach this service: for links in e-mails (unsubscribe).
NOTIFICATIONS_BASE_URL = env.str("NOTIFICATIONS_BASE_URL", default="")

# Days after which what is over is deleted, by status; what is not named is kept.
NOTIFICATIONS_KEEP_DAYS = env.counts("NOTIFICATIONS_KEEP_DAYS")

# How often: requests of a caller, requests from an address that were not let in, notifications to a recipient.
NOTIFICATIONS_RATES = {
    "caller": env.str("NOTIFICATIONS_CALLER_RATE", default="", validate=rate),
    "address": env.str("NOTIFICATIONS_ADDRESS_RATE", default="60/minute", validate=rate),
}
NOTIFICATIONS_RECIPIENT_LIMITS = {
    window: most
    for window, most in {
        "hour": env.int("NOTIFICATIONS_RECIPIENT_PER_HOUR", default=0, validate=limit),
        "day": env.int("NOTIFICATIONS_RECIPIENT_PER_DAY", default=0, validate=limit),
    }.items()
    if most  # 0: no limit
}

# django-q2: the worker processes of `manage.py qcluster`. Retries are ours (they live on the Notification
# row), so here every task is tried once and acknowledged whatever it came to.
Q_CLUSTER: dict[str, Any] = {
    "name": "default",
    "label": "Queue",
    "orm": "default",
    "broker_class": "notifications.backends.queue.OrmBroker",
    "workers": env.int("QCLUSTER_WORKERS", default=2, validate=at_least_one),
    "timeout": 300,
    "retry": 330,  # seconds an entry stays hidden after a worker took it: must exceed `timeout`
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": 0,  # keep every success; more than 0 locks and loads them all at each finished task
    # Entries of a mergeable task that a worker takes at once. On SQLite requests wait while such a batch is written.
    "bulk": 250 if DATABASES["default"]["ENGINE"] == "project.sqlite3" else 500,
    "recycle": 10_000,
    "catch_up": False,
    "log_level": "WARNING",
}

# --- Django -----------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "notifications.apps.NotificationsConfig",  # before django_q: its `qcluster` command is ours
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    *(["anymail"] if find_spec("anymail") else []),  # requirements-anymail.txt
]

MIDDLEWARE = [
    "notifications.api.middleware.ObservedRequest",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "notifications.background.middleware.BackgroundTasksMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"  # `manage.py compare` starts it

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

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

TIME_ZONE = "UTC"
USE_I18N = False

LOGIN_URL = "admin:login"
STATIC_URL = f"{BELOW}/static/"
WHITENOISE_STATIC_PREFIX = "/static/"  # what is left of it when the server has taken SCRIPT_NAME off
# The admin's few files are served from where they are installed: there is no collectstatic to forget.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "notifications.api.authentication.TokenAuthentication",  # first: its WWW-Authenticate makes 401 a 401
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["notifications.api.permissions.HasRight"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "notifications.api.negotiation.OnlyJSON",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "notifications.api.errors.problem_response",
    # How many proxies stand before us: as many entries of X-Forwarded-For are believed, none by default.
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0, validate=validate.Range(min=0)),
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Notifications",
    "DESCRIPTION": "Respond first, work after: accepted at once, delivered in the background.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "COMPONENT_SPLIT_REQUEST": True,  # what may be left out of a request is there in an answer
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "ENUM_NAME_OVERRIDES": {
        "Status": "notifications.models.Status",
        "SuppressionReason": "notifications.models.SuppressionReason",
    },
    "PREPROCESSING_HOOKS": ["notifications.api.openapi.described"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "notifications.api.openapi.as_it_is",
    ],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# --- security: what `check --deploy` asks for, off in development ----------------------------------------

SECURE_SSL_REDIRECT = not DEBUG
SECURE_REDIRECT_EXEMPT = [rf"^{BELOW[1:]}/?(livez|readyz|metrics)$"]  # from inside, without TLS
SECURE_HSTS_SECONDS = 0 if DEBUG else 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not DEBUG
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
# Everything from here, nothing inline, in nobody's frame.
SECURE_CSP: dict[str, list[str]] = {
    "default-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "object-src": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
}
