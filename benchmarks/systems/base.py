"""What a measured system is. One file each beside this one; the boilerplate is here."""

import json
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..servers import POSTGRESQL, PREFIX, Server

if TYPE_CHECKING:
    from ..stage import Stage

numbers = count(1)
templates: dict[str, str] = {}  # names of migrated PostgreSQL databases
sqlite_templates: dict[str, bytes] = {}

ANY = frozenset({"post", "pickup", "drain", "memory"})
# Hides what is in this environment for others, as it is not in that of who installs one system.
ABSENT = Path(__file__).resolve().parent.parent / "absent"


class System:
    """A way to run background work behind an HTTP endpoint. Subclasses say how it is started."""

    name: str
    label: str
    stated: str  # its settings, in a sentence, for the results
    needs: tuple[Server, ...] = ()
    workloads: frozenset[str] = ANY
    drain_size = 2000  # jobs; so many that a drain takes seconds
    site = ""  # module in benchmarks.sites that runs inside
    settings_module = "benchmarks.sites.settings"
    django_settings: ClassVar[dict[str, Any]] = {}
    database = ""  # "", "sqlite" or "postgresql": the store that has to be migrated
    delivers = True  # False for a floor that does no work
    is_product = False
    is_floor = False  # not a system anybody would run: a limit to compare with
    has_extras = False  # it needs what is absent for the others
    quick = False  # part of the quick round; the others are repeated once less in the full one

    # --- the store ---------------------------------------------------------------------------------------

    def prepare(self, stage: "Stage") -> None:
        """Make an empty store and add what the system's processes need to `stage.variables`."""
        stage.variables |= {
            "DJANGO_SETTINGS_MODULE": self.settings_module,
            "BENCH_SITE": self.site,
            "BENCH_SETTINGS": json.dumps(self.django_settings),
        }
        if not self.has_extras:
            stage.variables["PYTHONPATH"] = str(ABSENT)
        stage.variables["DATABASE_URL"] = self._database_url(stage)

    def settled(self, stage: "Stage") -> bool:
        """Whether everything whose line is in the file is recorded too."""
        return True

    def _database_url(self, stage: "Stage") -> str:
        if self.database == "postgresql":
            template = self._template(stage)
            name = f"{PREFIX}_{next(numbers)}"
            stage.closing.callback(POSTGRESQL.drop, name)
            return POSTGRESQL.create(name, template)
        path = stage.directory / "db.sqlite3"
        if self.database:
            self._copy_template(stage, path)
        return f"sqlite:///{path}"

    def _template(self, stage: "Stage") -> str:
        """The name of a migrated PostgreSQL database; migrations run once a run."""
        key = self._key()
        if key not in templates:
            name = f"{PREFIX}_template_{next(numbers)}"
            self._migrate(stage, POSTGRESQL.create(name))
            templates[key] = name
        return templates[key]

    def _copy_template(self, stage: "Stage", path: Path) -> None:
        key = self._key()
        if key not in sqlite_templates:
            self._migrate(stage, f"sqlite:///{path}")
            sqlite_templates[key] = path.read_bytes()
        path.write_bytes(sqlite_templates[key])

    def _key(self) -> str:
        return f"{self.settings_module} {self.django_settings.get('BENCH_APPS')}"

    def _migrate(self, stage: "Stage", url: str) -> None:
        stage.variables["DATABASE_URL"] = url
        stage.run([sys.executable, "-m", "django", "migrate", "--verbosity", "0"], "migrate")

    # --- the processes -----------------------------------------------------------------------------------

    def path(self, letter: str) -> str:
        """The address of a request; {n} is its number."""
        return f"/send-notification/{letter}{{n}}@example.com"

    def web_command(self, stage: "Stage") -> list[str]:
        """gunicorn reads the project's own gunicorn.conf.py: 2 processes, gthread, 8 threads."""
        return [sys.executable, "-m", "gunicorn", "benchmarks.sites.wsgi"]

    def worker_commands(self, stage: "Stage") -> list[list[str]]:
        """The commands that make up two worker processes."""
        return []

    def fill(self, stage: "Stage", number: int, letter: str, start: int) -> None:
        module = "benchmarks.sites.fill"
        stage.run([sys.executable, "-m", module, letter, str(start), str(number)], "fill")


def manage(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "django", *arguments]
