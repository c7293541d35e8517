"""kill -9 of the web process at the worst moment: everything is committed, and nobody has been told."""

import os
import signal
from collections.abc import Callable
from typing import Any


def die_before_the_answer(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def middleware(request: Any) -> Any:
        response = get_response(request)
        if "X-Die" in request.headers:
            os.kill(os.getpid(), signal.SIGKILL)
        return response

    return middleware
