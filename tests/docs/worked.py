"""A worked page followed as its reader does: files written, parameters merged, lines changed, commands run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from lib.params.overlay import overlaid
from tests.tiny import ROOT

BLOCK = re.compile(r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)
FOLDERS = ("lib", "stages", "tools", "suites", "tests", "bench", ".dvc")
FILES = ("dvc.yaml", "params.yaml", "pyproject.toml", "requirements.lock", ".dvcignore", ".gitignore")


class Block(NamedTuple):
    """A fenced block; title: the file that it is about, empty for commands and examples."""

    language: str
    title: str
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks that name their language, in order."""
    return [Block(found["language"], found["title"] or "", found["text"]) for found in BLOCK.finditer(page)]


def copy(folder: Path) -> Path:
    """The project in a repository of its own, as a reader's clone is."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "cache", "tmp"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


def follow(block: Block, project: Path) -> None:
    """Do what one block says."""
    path = project / block.title
    if block.language == "sh":
        for command in block.text.replace("\\\n", "").splitlines():
            run(command, project)
    elif block.language == "diff":
        path.write_text(patched(path.read_text(), block.text))
    elif block.title and path.suffix == ".yaml":
        path.write_text(overlaid(path.read_text(), block.text))
    elif block.title:
        assert not path.exists(), f"{block.title} is there already"
        path.write_text(block.text)


def patched(text: str, change: str) -> str:
    """A text whose lines before a change (with ` ` and `-`) stand there once, with those after it (` ` and `+`) instead."""
    lines = change.splitlines(keepends=True)
    before, after = ("".join(line[1:] for line in lines if line[0] in marks) for marks in (" -", " +"))
    assert text.count(before) == 1, f"stands there {text.count(before)} times:\n{before}"
    return text.replace(before, after)


def run(command: str, project: Path) -> str:
    """Run a command line with this environment's programs first; what it wrote."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "1"}
    words = ["bash", "-c", command]
    done = subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
