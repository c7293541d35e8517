"""The README tells the truth: every command, setting, file and address it names exists."""

import re
import tomllib
from pathlib import Path

import pytest
from django.core.management import get_commands
from django.urls import Resolver404, resolve

ROOT = Path(__file__).parent.parent
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").glob("*.md"))),
]


def text(page: str) -> str:
    return (ROOT / page).read_text()


@pytest.mark.parametrize("page", PAGES)
def test_make_targets(page: str) -> None:
    """`make x` is a target, and `make help` lists it."""
    makefile = (ROOT / "Makefile").read_text()
    included = re.findall(r"^include (.*)$", makefile, re.MULTILINE)[0].split()
    makefiles = makefile + "".join((ROOT / path).read_text() for path in included)
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefiles, re.MULTILINE))
    named = set(
        re.findall(r"`[^`\n]*make ([a-z-]+)`|^\$ (?:\w+=\S+ )*make ([a-z-]+)", text(page), re.MULTILINE)
    )
    assert {target for pair in named for target in pair if target} <= targets


@pytest.mark.parametrize("page", PAGES)
def test_management_commands(page: str) -> None:
    """`manage.py x` is a command."""
    assert set(re.findall(r"manage\.py ([a-z_]+)", text(page))) <= set(get_commands())


def test_settings() -> None:
    """Every variable in the table is read by some settings file, and every variable that is read is in the table."""
    table = text("README.md").split("## Settings")[1].split("\n## ")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    sources = "".join(file.read_text() for file in (*ROOT.glob("project/*.py"), ROOT / "gunicorn.conf.py"))
    read = set(re.findall(r"env\.\w+\(\s*\"(\w+)\"|env\.\w+\('(\w+)'", sources))
    assert named == {name for pair in read for name in pair if name}


@pytest.mark.parametrize("page", PAGES)
def test_links(page: str) -> None:
    """Every local link leads to a file, every picture is there."""
    links = re.findall(r"\]\(([^)#:]+)\)", text(page)) + re.findall(
        r" (?:src|srcset)=\"([^\":]+)\"", text(page)
    )
    for link in links:
        assert ((ROOT / page).parent / link).exists(), link


def test_addresses() -> None:
    """Every address in the README is answered."""
    for path in set(re.findall(r"localhost:8000(/[^\s\"?]*)", text("README.md"))):
        try:
            resolve(path)
        except Resolver404:
            pytest.fail(f"{path} leads nowhere")


def test_layers() -> None:
    """The layers in architecture.md are those that `make check` keeps."""
    [drawn] = re.findall(r"```\n(pages\n.*?)```", text("docs/architecture.md"), re.DOTALL)
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [layers] = [
        item["layers"] for item in config["tool"]["importlinter"]["contracts"] if item["type"] == "layers"
    ]
    assert drawn.replace(" · ", " | ").splitlines() == layers


def test_rooms() -> None:
    """Every module of the app is in architecture.md's list of rooms."""
    rooms = text("docs/architecture.md").split("## Rooms")[1].split("\n\nImports")[0]
    named = {name.strip("/").rsplit("/")[-1] for name in re.findall(r"`([^`]+)`", rooms)}
    modules = {p.name for p in (ROOT / "notifications").glob("*.py")} | {
        p.parent.name for p in (ROOT / "notifications").glob("*/__init__.py")
    }
    assert modules - named == {"__init__.py", "apps.py", "migrations", "management"}
