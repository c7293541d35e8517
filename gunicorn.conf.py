"""gunicorn reads this file by itself: `gunicorn project.wsgi`."""

import gc
import os
import shutil
import sys
import tempfile
from typing import Any

from environs import EnvError
from gunicorn import util

from project import bodies, cores, refusals
from project.environment import Environment, address, at_least_one, port

env = Environment()  # anew: this file is read again at a reload
env.read_env(".env", recurse=False)

try:
    # The loopback address: whoever should reach the service from outside comes through a proxy (see the README).
    host = env.str("HOST", default="127.0.0.1", validate=address)
    number = env.int("PORT", default=8000, validate=port)
    workers = env.int("WEB_CONCURRENCY", default=2, validate=at_least_one)
    has_affinity = env.bool("WEB_CPU_AFFINITY", default=True)
except EnvError as error:
    sys.exit(str(error))  # gunicorn would put a traceback before it
bind = f"{host}:{number}"
worker_class = "project.connections.Worker"
threads = 8
graceful_timeout = 30
logger_class = "project.access.Logger"  # our form of a line, and no address in it
util.write_error = refusals.answer  # there is no setting for it
limit_request_line = 8190  # the most there is: a text may be in the address, and escaped it is long
# A proxy keeps idle connections to us, too (nginx 60 s, Caddy two minutes). It has to be the first to close one:
# what it sends in the moment that we do is lost, and its client gets a 502.
keepalive = 130
# The one that is documented. Of the others that gunicorn knows a proxy lets anything pass, which then contradicts this.
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
# gunicorn takes SCRIPT_NAME and PATH_INFO as headers from a proxy on this machine, which may have them from anybody:
# then /any/admin/ is /admin/, and what the proxy keeps from strangers by its path is open.
forwarder_headers = ""
control_socket_disable = True  # one path a user: two services on a machine would take it from each other

# What the workers count lies in files here, so that each of them can tell of all. Made before the workers are. The name
# says which master made it: this file is read again at a reload, and by a next master (USR2), which finds it set.
NAME = "notifications-metrics-"
mine = f"{NAME}{os.getpid()}-"
given = os.path.basename(os.environ.get("PROMETHEUS_MULTIPROC_DIR", NAME))
if given.startswith(NAME) and not given.startswith(mine):
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=mine)


def pre_fork(server: Any, worker: Any) -> None:
    """In the master, which knows the others."""
    gc.freeze()  # what is there now is shared for as long as no collector of a child touches it
    taken = [getattr(other, "core", None) for other in server.WORKERS.values()]
    worker.core = cores.core_for(server.num_workers, taken, cores.available()) if has_affinity else None


def on_reload(server: Any) -> None:
    """What the last workers were born with would be kept for ever. Not at each birth: it writes to what they share."""
    gc.unfreeze()
    gc.collect()


def post_fork(server: Any, worker: Any) -> None:
    """In a new worker, which loads the service. A reload brings new code: also of what the master has loaded of it."""
    for name in list(sys.modules):
        if name.partition(".")[0] in {"notifications", "project"}:
            del sys.modules[name]
    if worker.core is not None:
        try:
            cores.stay_on(worker.core)
        except OSError as error:  # a sandbox may forbid it; the service is as good on any core
            server.log.warning("This process cannot stay on core %s: %s", worker.core, error)


def pre_request(worker: Any, request: Any) -> None:
    bodies.hurry(request)


def post_request(worker: Any, request: Any, environ: Any, response: Any) -> None:
    bodies.finish(request)


def child_exit(server: Any, worker: Any) -> None:
    from prometheus_client import multiprocess  # it reads the variable when it is imported

    from notifications import tallies

    multiprocess.mark_process_dead(worker.pid)
    tallies.add_up(os.environ["PROMETHEUS_MULTIPROC_DIR"], worker.pid)


def on_exit(server: Any) -> None:
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"]
    if os.path.basename(folder).startswith(mine):
        shutil.rmtree(folder, ignore_errors=True)
