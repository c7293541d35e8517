"""One run: start the service, load it, break it, let it come to rest, hold it to its promises."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from django.db import Error, connections
from django_q.models import OrmQ

from notifications import services
from notifications.models import Notification, NotificationQuerySet, Status
from tests.chaos.audit import Audit, audit
from tests.chaos.clients import Ledger, application, decide, http_client, shell
from tests.chaos.faults import Fault, FaultMaker, faults_for
from tests.chaos.service import Program, Service
from tests.processes import answers, wait_until

CLIENTS = 4
SETTLE = 90.0  # seconds from the last fault until everything must be final
LONGEST_PAUSE = 8.0  # seconds between two faults: long enough to see the end of one before the next
BACKLOG = 1500  # rows that wait at any time in a calm run


@dataclass(frozen=True, slots=True)
class Options:
    database_url: str
    folder: Path
    port: int
    seed: int
    seconds: float
    calm: bool  # a long backlog and no fault at all
    clocks_apart: float  # seconds between the clocks of two hosts; 0: one host
    only: str | None  # the name of the one fault that is done


@dataclass(slots=True)
class Result:
    audit: Audit
    ledger: Ledger
    faults: list[Fault]
    skipped: list[str]
    settled: float  # seconds from the end of the load to the last final status
    complaints: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        return self.complaints + self.audit.broken


def run(options: Options) -> Result:
    """Raise TimeoutError when the service does not even start."""
    rng = random.Random(options.seed)
    service = Service(options.folder, clocks_apart=options.clocks_apart)
    ledger = Ledger()
    url = f"http://127.0.0.1:{options.port}"
    try:
        wait_until(lambda: answers(url), timeout=60)
        wait_until(lambda: service.workers(service.cluster), timeout=60)
        faults = faults_for(service, options.database_url)
        pause = min(options.seconds / (len(faults) + 2), LONGEST_PAUSE)
        if options.only:
            faults, pause = {options.only: faults[options.only]}, LONGEST_PAUSE
        maker = FaultMaker(faults, rng, pause)
        with under_load(url, ledger, rng, calm=options.calm, poison=not options.only):
            if options.calm:
                threading.Event().wait(options.seconds)
            else:
                timer = threading.Timer(options.seconds, maker.stopping.set)
                timer.start()
                maker.run()
                timer.join()
        ended = time.monotonic()
        complaints = settle()
        settled = time.monotonic() - ended
        decide(ledger, service.log_file.read_text())
        complaints += settle()
        complaints += service.stop()
        complaints += [
            f"{program.name} sent nothing" for program in service.clusters if not has_sent(program)
        ]
    finally:
        service.kill()
    found = audit(ledger, maker.done, service.log_file)
    if options.calm and (found.doubled or found.lost_attempts):
        found.broken.append(
            f"{found.doubled} doubled, {found.lost_attempts} lost attempts, and nobody was killed"
        )
    return Result(found, ledger, maker.done, maker.skipped, settled, complaints)


def has_sent(program: Program) -> bool:
    return "event=recorded" in program.output.read_text()


@contextmanager
def under_load(url: str, ledger: Ledger, rng: random.Random, *, calm: bool, poison: bool):  # type: ignore[no-untyped-def]
    """All clients work while the block runs."""
    stopping = threading.Event()
    work: list[Callable[[], None]] = []

    def add(client: Callable[..., None], *args: object) -> None:
        own = random.Random(rng.random())
        work.append(lambda: client(*args, ledger, own, stopping))

    if calm:
        add(backlog)
    else:
        for _ in range(CLIENTS):
            add(http_client, url)
        add(application, poison)
        add(shell)
    failures: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=guarded, args=(job,), daemon=True) for job in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join(90)
    if failures:
        raise failures[0]


def backlog(ledger: Ledger, rng: random.Random, stopping: threading.Event) -> None:
    """Keep many waiting, and among them sends that take longer than two leases."""
    # A batch is at most 100 rows: no two long ones in it, which together would be over the time of a call.
    some = (["steady"] * 4 + ["plain"]) * 60
    kinds = [*some, *some[:150], "long", *some[150:]]
    while not stopping.is_set():
        if unfinished().count() < BACKLOG:
            order = {"recipient": "you@example.com", "via": "queue", "channel": "chaos"}
            rows = services.accept_many({**order, "message": ledger.text(kind)} for kind in kinds)
            for row in rows:
                assert isinstance(row, Notification)
                ledger.accept(str(row.pk), row.message, "queue", "application")
        stopping.wait(0.05)
    connections.close_all()


def unfinished() -> NotificationQuerySet:
    return Notification.objects.filter(status__in=[Status.QUEUED, Status.SENDING])


def settle() -> list[str]:
    """Wait until every row is final or held and the queue is empty: what a dead cluster had comes back by its lease."""

    def at_rest() -> bool:
        try:
            return not (unfinished().exists() or OrmQ.objects.exists())
        except Error:  # the connection that a fault has ended
            connections.close_all()
            return False

    try:
        wait_until(at_rest, timeout=SETTLE, every=0.1)
    except TimeoutError:
        return [f"not at rest {SETTLE:g} s after the last fault"]
    return []


def table(result: Result) -> str:
    found, ledger = result.audit, result.ledger
    sources = Counter(f"{a.source} via {a.via}" for a in ledger.accepted)
    refused = Counter(ledger.refused)
    facts = {
        "accepted": f"{len(ledger.accepted)} ({_listed(sources)})",
        "no answer, or no": f"{len(ledger.refused)} ({_listed(refused)})" if refused else "0",
        "faults": str(len(result.faults)),
        "not possible just then": _listed(Counter(result.skipped)) or "none",
        "ended as": _listed(found.statuses),
        "lines in the log": f"{found.lines}, of them {found.doubled} once too often, {found.torn} torn",
        "were unknown": f"{len(ledger.confirmed)} confirmed, {len(ledger.again)} sent again",
        "lost attempts": str(found.lost_attempts),
        "at rest after the load": f"{result.settled:.1f} s",
        "promises broken": str(len(result.broken)),
    }
    head = "\n".join(f"  {name:<24}{value}" for name, value in facts.items())
    return f"{head}\n{_faults(result)}" if result.faults else head


def _faults(result: Result) -> str:
    """For each kind of fault: what it cost. Times are those of what was hit by it alone, in seconds."""
    lines = [f"  {'fault':<24}{'times':>6}{'held':>6}{'doubled':>9}{'found after':>20}{'final after':>20}"]
    for name in sorted({fault.name for fault in result.faults}):
        times = sum(fault.name == name for fault in result.faults)
        harm = result.audit.harm[name]
        found, final = _spread(harm.found), _spread(harm.final)
        lines.append(f"  {name:<24}{times:>6}{harm.held:>6}{harm.doubled:>9}{found:>20}{final:>20}")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.1f}, at most {max(values):.1f}" if values else "-"


def _listed(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counted.items()))
