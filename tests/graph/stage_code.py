"""Stage `code` of a copy of the project, run in a process that is forked from one that has loaded torch already.

That one runs no threads. Forks of the process of the tests would wait for ever for the threads of libraries used there.
"""

import multiprocessing
import os
import runpy
import sys
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([__name__, "grimp", "torch", "torchvision"])


def run(folder: Path, out: str) -> None:
    """Write the manifests of the project in a folder into its subfolder out."""
    child = SERVER.Process(target=_stage, args=(folder, out))
    child.start()
    child.join()
    assert child.exitcode == 0


def _stage(folder: Path, out: str) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in {"lib", "stages"}]:
        del sys.modules[name]  # the copy has its own
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.argv = ["code", "--versions", "requirements.lock", "--out", out]
    runpy.run_module("stages.code", run_name="__main__", alter_sys=True)
    assert sys.modules["lib"].__path__[0] == str(folder / "lib")
