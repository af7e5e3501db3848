"""A command run by several processes at once, under torchrun's engine; whatever one of them dies of is told once."""

import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from lib.params.section import section

PARENT = "TRAINING_PARENT"  # the process that started this one, which ends with it
REASON = "TRAINING_LOST"  # the file for the reason of one that lost the others
LOST = 75  # exit status of who only lost the others
THEN = (LOST, -signal.SIGTERM)  # how the others end when one has failed
CURE = "the same command continues from the last saved state"
SIGNS = ("gloo", "NCCL", "Connection closed by peer", "Broken pipe", "Connection reset")


@section
class Rendezvous:
    """Several machines for one training, as torchrun has them: the same command runs on each.

    endpoint: HOST:PORT of the first, which the others reach. nodes: how many machines; each runs its share of the processes.
    id: of this training, any name, alike on all.
    """

    endpoint: Annotated[str, Field(pattern=r"^[^\s:]+:\d{1,5}$", max_length=300)]
    nodes: Annotated[int, Field(ge=2, le=1024)]
    id: Annotated[str, Field(min_length=1, max_length=100)]


def launched() -> bool:
    """Whether this process is one of several that `launch` (or torchrun) has started."""
    return "RANK" in os.environ


def launch(command: Sequence[str], processes: int, rendezvous: Rendezvous | None) -> int:
    """Run `python <command>` in so many processes, over all machines; returns the exit status, 0 when all are done.

    The first process has the terminal; what the others say goes to a file and is told when one of them fails first.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in [name for name in logging.root.manager.loggerDict if name.startswith("torch.distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what fails is told here
    nodes = 1 if rendezvous is None else rendezvous.nodes
    own = processes // nodes
    os.environ[PARENT] = str(os.getpid())
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # it warns that it looks for unused parameters
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the stage sets its own number; torchrun would tell what it chose
    with tempfile.TemporaryDirectory(prefix="processes-") as folder:
        os.environ[REASON] = str(Path(folder) / "lost.txt")
        config = LaunchConfig(
            min_nodes=nodes,
            max_nodes=nodes,
            nproc_per_node=own,
            max_restarts=0,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0" if rendezvous is None else rendezvous.endpoint,
            run_id=str(uuid.uuid4()) if rendezvous is None else rendezvous.id,
            local_addr="localhost" if rendezvous is None else None,
            logs_specs=DefaultLogsSpecs(folder, redirects=dict.fromkeys(range(1, own), Std.ALL)),
        )
        try:
            elastic_launch(config, sys.executable)(*command)
        except ChildFailedError as error:
            return _told(error.failures, processes, Path(folder))
        except SignalException as error:
            return 128 + int(error.sigval)
    return 0


def _told(failures: dict[int, Any], processes: int, folder: Path) -> int:
    """Say why a process failed, unless it did so itself, below the bar that it left; returns its exit status."""
    first = min(failures, key=lambda rank: (failures[rank].exitcode in THEN, rank))
    failure = failures[first]
    if failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        text = f"\nerror: process {first + 1} of {processes} was ended by {name}; {CURE}\n"
    elif failure.exitcode == LOST:
        reason = (folder / "lost.txt").read_text() if (folder / "lost.txt").exists() else ""
        text = f"\nerror: the processes lost one another ({reason}); {CURE}\n"
    else:
        found = sorted(folder.glob(f"*/attempt_0/{failure.local_rank}/stderr.log"))
        text = found[0].read_text() if found else ""
    sys.stderr.write(text)
    return max(1, int(failure.exitcode))


def lost_the_others(error: RuntimeError) -> bool:
    """Whether an error may say no more than that another process has ended; it is noted, for when none has."""
    if REASON not in os.environ or not any(sign in str(error) for sign in SIGNS):  # torchrun by hand tells no reason
        return False
    Path(os.environ[REASON]).write_text(str(error).strip().partition("\n")[0][:300])
    return True
