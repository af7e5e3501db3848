"""Stage `code` of a copy of the project, run in a process that is forked from one that has loaded torch already.

That one runs no threads. Forks of the process of the tests would wait for ever for the threads of libraries used there. What
is essential in files that nobody edited is remembered, which spares most of the time.
"""

import importlib
import multiprocessing
import os
import runpy
import sys
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([__name__, "tests.graph.known", "grimp", "torch", "torchvision"])


def run(folder: Path, out: str) -> None:
    """Write the manifests of the project in a folder into its subfolder out."""
    child = SERVER.Process(target=_stage, args=(folder, out))
    child.start()
    child.join()
    assert child.exitcode == 0


def _stage(folder: Path, out: str) -> None:
    from tests.graph.known import ESSENTIAL

    for name in [name for name in sys.modules if name.split(".")[0] in {"lib", "stages"}]:
        del sys.modules[name]  # the copy has its own
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.argv = ["code", "--versions", "requirements.lock", "--out", out]
    sources = importlib.import_module("lib.graph.sources")
    sources.essential = lambda file, plain=sources.essential: ESSENTIAL.get(file.read_bytes()) or plain(file)
    runpy.run_module("stages.code", run_name="__main__", alter_sys=True)
    assert sys.modules["lib"].__path__[0] == str(folder / "lib")
