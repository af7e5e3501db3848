"""What README.md and docs/ point to is there: pages, sections, pictures, commands and their options."""

import functools
import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.cli import parse_args

from tests.docs.worked import blocks
from tests.tiny import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```sh\n(.*?)^```$|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"python -m ([\w.]+)(.*)")
OPTION = re.compile(r"(?<=\s)--[a-z][a-z0-9-]*")
LENGTH = 150  # lines of README.md


def commands(page: Path) -> Iterator[str]:
    """The command lines on a page: of blocks, and between back-quotes."""
    for block, words in CODE.findall(page.read_text()):
        for line in (block or words).replace("\\\n", "").splitlines():
            yield line.partition("  #")[0].strip()


ALL = sorted({command for page in PAGES for command in commands(page)})
WORKED = {  # modules that a worked page makes, and runs
    block.title.removesuffix(".py").replace("/", ".") for page in PAGES for block in blocks(page.read_text())
}


def anchors(page: Path) -> set[str]:
    """The names of a page's headings in links."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_reached_from_the_readme() -> None:
    found, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in found:
            found.add(page)
            linked = [(page.parent / link.partition("#")[0]).resolve() for link in LINK.findall(page.read_text())]
            waiting += [path for path in linked if path.suffix == ".md" and path in PAGES]
    assert found == set(PAGES)


@functools.cache
def told(module: str) -> str:
    """What a command says of itself."""
    words = [sys.executable, "-m", module, "--help"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("command", [command for command in ALL if COMMAND.search(command)])
def test_a_command_exists_with_its_options(command: str) -> None:
    module, words = COMMAND.findall(command)[0]
    if module in WORKED:
        return
    assert importlib.util.find_spec(module) is not None
    if not module.startswith("bench."):
        assert set(OPTION.findall(words)) - {"--help"} <= set(OPTION.findall(told(module)))


@pytest.mark.parametrize("command", [command for command in ALL if command.startswith("dvc ")])
def test_dvc_takes_a_command(command: str) -> None:
    parse_args(shlex.split(command)[1:])


@pytest.mark.parametrize("command", [command for command in ALL if command.startswith("make ")])
def test_make_has_a_target(command: str) -> None:
    targets = [word for word in command.split()[1:] if "=" not in word]
    listed = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(targets) <= set(listed)


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LENGTH
