"""gunicorn's logger: the service's own form and place of a line, and no address or text in its access log.

The access log is off unless it is asked for (`gunicorn --access-logfile -`, or in GUNICORN_CMD_ARGS); then it goes
to standard error with the rest, whatever file or format was named.
"""

import logging.config
from typing import Any

from gunicorn import glogging

from .logs import LOGGING


class Logger(glogging.Logger):  # type: ignore[misc]
    """gunicorn's, configured by `LOGGING`."""

    def setup(self, cfg: Any) -> None:
        """Also called when gunicorn reads its configuration anew (SIGHUP)."""
        super().setup(cfg)
        logging.config.dictConfig(LOGGING)

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> None:
        """The path without its query, which may hold a text; the formatter masks the address that may be in it."""
        if not self.access_log_enabled:
            return
        ids = [value for name, value in resp.headers if name.lower() == "x-request-id"]
        self.access_log.info(
            "event=answered method=%s path=%s status=%s seconds=%.6f bytes=%s",
            environ.get("REQUEST_METHOD"),
            environ["RAW_URI"].partition("?")[0],
            str(resp.status).split(None, 1)[0],
            request_time.total_seconds(),
            resp.sent,
            extra={"request_id": ids[0] if ids else "-"},
        )
