"""A process that asked for it is gone when its parent was killed."""

import os
import signal
import subprocess
import sys

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


def test_a_process_whose_parent_is_gone_already_dies_at_once() -> None:
    pid = os.fork()
    if pid == 0:
        die_with_parent(parent=1 if os.getppid() != 1 else 2)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
