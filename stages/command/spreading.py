"""A training by several processes: the command starts itself once for each (`compute.processes`)."""

import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from stages.command.reading import read_params


def spread(words: Mapping[str, Any]) -> None:
    """Run this command in several processes and end with it, where it trains (it has a --resume-dir) and is to be spread."""
    if words.get("resume_dir") is None:
        return
    from lib.params.section import read
    from lib.training.device import Compute
    from lib.training.launching import launch, launched

    compute = read(read_params(words["params"]), "compute", Compute)
    if compute.processes > 1 and not launched():
        spec = sys.modules["__main__"].__spec__
        assert spec is not None
        sys.exit(launch(["-m", spec.name, *sys.argv[1:]], compute.processes, compute.rendezvous))


def say_it_yourself() -> None:
    """Let this process, if it is one of several, end by its own error though the others' end would end it meanwhile."""
    if "RANK" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def end_if_lost(error: RuntimeError) -> None:
    """End silently where another process has ended: who started them all says why."""
    if "torch" in sys.modules:
        from lib.training.launching import LOST, lost_the_others

        if lost_the_others(error):
            sys.exit(LOST)
