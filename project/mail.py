"""Django's MAILERS, from the environment: a provider's API, a mail server, or both.

With both, the server is for when the provider cannot be reached. In development what would be sent is shown on the
console. With neither there is no e-mail.
"""

from typing import Any

from project.environment import DEBUG, env, port, refusal, server

IMPLICIT = 465  # where TLS begins with the first byte (RFC 8314), and not by STARTTLS

mailers: dict[str, dict[str, Any]] = {}
if provider := env.str("EMAIL_PROVIDER", default=""):  # anymail's name: postmark, mailgun, amazon_ses, …
    mailers["default"] = {
        "BACKEND": f"anymail.backends.{provider}.EmailBackend",
        "OPTIONS": env.pairs("EMAIL_PROVIDER_OPTIONS"),
    }
if host := env.str("EMAIL_SMTP_HOST", default="", validate=server):
    number = env.int("EMAIL_SMTP_PORT", default=587, validate=port)
    tls = env.bool("EMAIL_SMTP_TLS", default=True)
    user, password = env.str("EMAIL_SMTP_USER", default=""), env.str("EMAIL_SMTP_PASSWORD", default="")
    # Without one of them, Django logs in with neither.
    if user and not password:
        raise refusal("EMAIL_SMTP_PASSWORD", "It is not set, but EMAIL_SMTP_USER is.")
    if password and not user:
        raise refusal("EMAIL_SMTP_USER", "It is not set, but EMAIL_SMTP_PASSWORD is.")
    mailers["smtp" if provider else "default"] = {
        "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "OPTIONS": {
            "host": host,
            "port": number,
            "username": user,
            "password": password,
            "use_tls": tls and number != IMPLICIT,
            "use_ssl": tls and number == IMPLICIT,
        },
    }
if DEBUG and not mailers:
    mailers["default"] = {"BACKEND": "django.core.mail.backends.console.EmailBackend"}
