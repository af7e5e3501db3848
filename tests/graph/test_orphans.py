"""A process that asked for it is gone when its parent was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from lib.graph.orphans import die_with_parent
from tests.graph.test_workers import ended
from tests.tiny import ROOT

PARENT = """
import os, subprocess, sys, time
code = "import stages, time; print(1, flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_stage_under_dvc_dies_with_dvc() -> None:
    environment = {**os.environ, "DVC_STAGE": "prune@l1-0.5-0", "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], env=environment, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    assert ended(child)


def test_an_interrupt_while_a_command_is_imported_leaves_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/__init__.py").write_text((ROOT / "tools/__init__.py").read_text())
    (tmp_path / "tools/slow.py").write_text("import time\nprint(1, flush=True)\ntime.sleep(60)\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    words = [sys.executable, "-m", "tools.slow"]
    slow = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert slow.stdout is not None
    assert slow.stdout.readline() == "1\n"
    slow.send_signal(signal.SIGINT)
    assert slow.communicate()[1] == ""
    assert slow.returncode == -signal.SIGINT


def test_a_process_whose_parent_is_gone_already_dies_at_once() -> None:
    pid = os.fork()
    if pid == 0:
        die_with_parent(parent=1 if os.getppid() != 1 else 2)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
