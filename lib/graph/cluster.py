"""Chains as tasks of a Ray cluster (extra `cluster`). https://docs.ray.io

Ray finds a machine with free cores and GPUs for each task, ships the work tree there and tells when a machine is lost. Which
chain runs when is the business of `Schedule`, here as on one machine.
"""

import logging
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from lib.atomic import write_text
from lib.graph.cell import Job, Outcome, run_chain
from lib.graph.chains import Chain
from lib.graph.schedule import Ended, Sent
from lib.graph.workers import LOG

ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):(?P<port>[0-9]{1,5})")
NOT_SHIPPED = ("/.git", "/.venv", "/.scratch", "/.dvc/cache", "/.dvc/tmp", "/.dvc/config.local", "/dvc.lock", "__pycache__")
ANSWER_SECONDS = 5.0
POLL_SECONDS = 2.0
END_SECONDS = 10.0
LOSSES = (
    "LocalRayletDiedError",
    "NodeDiedError",
    "ObjectLostError",
    "OutOfMemoryError",
    "RayTaskError",  # of `run_chain` itself
    "RuntimeEnvSetupError",
    "WorkerCrashedError",
)
LOST_MOST = 5  # machines that a chain may lose: one that fills the memory would kill them for ever


@contextmanager
def connected(address: str, tree: Path, said: Path) -> Iterator[str]:
    """Be connected to a cluster, with a work tree for its tasks; the address of Ray's dashboard, "" where there is none.

    said: the file for what Ray prints meanwhile, which is screens where a machine is lost; the standard output goes there.
    Raises ValueError where Ray is not installed, or there is no cluster that this machine belongs to.
    """
    try:
        import ray
    except ImportError as error:
        msg = "running on several machines needs Ray, which is not installed; install it: pip install --group cluster"
        raise ValueError(msg) from error
    _knock(address)
    shipped = {"working_dir": str(tree), "excludes": list(NOT_SHIPPED)}
    try:
        context = ray.init(address=address, runtime_env=shipped, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError) as error:
        msg = (
            f"{address}: {error}; this machine must be a node of the cluster, with the same Python and Ray:"
            f" `ray start --address {address} --num-cpus 0` makes it one that runs no cells"
        )
        raise ValueError(msg) from error
    said.parent.mkdir(parents=True, exist_ok=True)
    with said.open("w", buffering=1) as file, redirect_stdout(file):
        try:
            yield context.dashboard_url
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """Raise ValueError when nobody answers at an address: Ray itself would look for minutes."""
    found = ADDRESS.fullmatch(address)
    if found is None:
        msg = f"--address is {address[:64]!r}; it must be HOST:PORT, as `ray start --head` tells it"
        raise ValueError(msg)
    try:
        socket.create_connection((found["host"].strip("[]"), int(found["port"])), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        msg = f"there is no Ray cluster at {address} ({error}); start one: `ray start --head --port {found['port']}`"
        raise ValueError(msg) from error


class Tasks:
    """Chains as tasks (an Executor). All that are ready are handed to Ray, which lets them wait for a free machine.

    known(chain): what a chain's dvc.lock must say. asked: what a task takes, as Ray names it. logs: the folder for logs.
    """

    def __init__(self, job: Job, known: Callable[[Chain], str], asked: Mapping[str, float], logs: Path) -> None:
        import ray

        self._ray, self._job, self._known, self._logs = ray, job, known, logs
        # A stage's own error is an Outcome; what Ray raises is a machine that was lost or that cannot run a task.
        self._task = ray.remote(max_retries=0, scheduling_strategy="SPREAD", **asked)(run_chain)
        self._running: dict[Any, Chain] = {}
        self.lost: Counter[Chain] = Counter()
        self._losses = tuple(getattr(ray.exceptions, name) for name in LOSSES)

    def room(self, running: int) -> bool:  # noqa: ARG002
        """Ray makes room."""
        return True

    def start(self, chain: Chain) -> None:
        """Hand a chain to Ray."""
        self._running[self._task.remote(self._job, chain, self._known(chain))] = chain

    def wait(self) -> Iterator[Ended]:
        """Wait a while; the chains that ended. Raises ValueError for a machine that no cell may run on."""
        for reference in self._ray.wait(list(self._running), timeout=POLL_SECONDS)[0]:
            chain = self._running.pop(reference)
            try:
                outcome = self._ray.get(reference)
            except self._losses as error:
                self.lost[chain] += 1
                self._job.shared.forget(chain[0])
                if self.lost[chain] < LOST_MOST:
                    self.start(chain)
                    continue
                cause = getattr(error, "cause", None) or error
                outcome = Outcome(False, [], f"error: its machine was lost {LOST_MOST} times; the last time: {cause}", "")
            yield self._ended(chain, outcome)

    def _ended(self, chain: Chain, outcome: Outcome) -> Ended:
        if outcome.refused:
            msg = f"{outcome.refused}; nothing that was finished is lost: then run the same command again"
            raise ValueError(msg)
        path = self._logs / chain[0] / LOG
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, outcome.log)
        return Ended(chain, outcome.good, outcome.sent)

    def stop(self) -> Iterator[list[Sent]]:
        """End all tasks; what they had finished is in DVC's cache."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        if self._running:
            self._ray.wait(list(self._running), num_returns=len(self._running), timeout=END_SECONDS)
        yield from ()


def too_large(asked: Mapping[str, float]) -> str:
    """Why no machine that is there now can ever run a task that takes so much; "" where one can."""
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    names = {"num_cpus": "CPU", "num_gpus": "GPU"}
    if any(all(machine.get(names[name], 0) >= much for name, much in asked.items()) for machine in machines):
        return ""
    wanted = " and ".join(f"{much:g} {names[name]}" for name, much in asked.items() if much)
    return f"no machine of the cluster has {wanted} now; the cells wait for one that has"
