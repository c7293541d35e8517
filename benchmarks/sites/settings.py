"""Settings of the peers' Django: the product's own server, middleware, DRF and database settings, without it."""

import json
import os

from project import logs
from project import settings as product

_given = json.loads(os.environ["BENCH_SETTINGS"])

SECRET_KEY = product.SECRET_KEY
ALLOWED_HOSTS = product.ALLOWED_HOSTS
DATABASES = product.DATABASES
INSTALLED_APPS = [
    app for app in product.INSTALLED_APPS if app.startswith("django.") or app == "rest_framework"
] + _given.pop("BENCH_APPS", [])
MIDDLEWARE = [path for path in product.MIDDLEWARE if path.startswith(("django.", "whitenoise."))]
TEMPLATES = product.TEMPLATES
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": product.REST_FRAMEWORK["DEFAULT_RENDERER_CLASSES"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
}
ROOT_URLCONF = "benchmarks.sites.urls"
STATIC_URL = "static/"
USE_TZ = True
USE_I18N = product.USE_I18N
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": logs.LOG_LEVEL},
}
SECURE_PROXY_SSL_HEADER = product.SECURE_PROXY_SSL_HEADER
SECURE_SSL_REDIRECT = product.SECURE_SSL_REDIRECT

globals().update(_given)
