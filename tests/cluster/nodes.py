"""Ray nodes on this machine, all told that they are 127.0.0.1, each with a folder of its own for what it copies."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

RAY = Path(sys.executable).parent / "ray"
MARK = "CELLS_TEST_NODE"  # in the environment of all that runs on a node
SMALL = ("--object-store-memory", "80000000", "--disable-usage-stats", "--include-log-monitor", "false")


class Cluster:
    """Nodes with one core and, if only by word, one GPU each, and a head with none.

    folder: for what they copy; environment: of the nodes.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._session = tempfile.mkdtemp(prefix="r", dir="/tmp")  # Ray's sockets need a short path
        self._name = secrets.token_hex(4)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self._begin("head", "--head", "--port", str(port), "--num-cpus", "0", "--include-dashboard", "false")

    def add(self, name: str) -> None:
        """Start one more node."""
        self._begin(name, "--address", self.address, "--num-cpus", "1", "--num-gpus", "1")

    def place(self, name: str) -> Path:
        """The folder for temporary files of a node."""
        return self._folder / name

    def _begin(self, name: str, *words: str) -> None:
        self.place(name).mkdir(parents=True)
        own = {
            MARK: f"{self._name}-{name}.",
            "TMPDIR": str(self.place(name)),
            "RAY_worker_niceness": "0",
        }
        # Nodes of one session folder would unpack the work tree into one place, each anew.
        folder = ("--temp-dir", f"{self._session}/{name}")
        command = [str(RAY), "start", "--node-ip-address", "127.0.0.1", *words, *folder, *SMALL]
        done = subprocess.run(command, env={**self._environment, **own}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    def holds(self, name: str, process: int) -> bool:
        """Whether a process runs on a node."""
        return process in processes(f"{MARK}={self._name}-{name}.")

    def stages(self) -> list[int]:
        """The processes of stages on all nodes."""
        return [process for process in processes(f"{MARK}={self._name}-") if b"\0stages." in _bytes(process, "cmdline")]

    def kill(self, name: str) -> None:
        """Lose a machine: kill at once all that runs on it."""
        self._kill(f"{name}.")

    def end(self) -> None:
        """Kill all nodes."""
        self._kill("")
        shutil.rmtree(self._session, ignore_errors=True)

    def _kill(self, beginning: str) -> None:
        for process in processes(f"{MARK}={self._name}-{beginning}"):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


@contextmanager
def cluster(folder: Path, environment: Mapping[str, str], names: tuple[str, ...]) -> Iterator[Cluster]:
    """A head and nodes of these names, for a while."""
    found = Cluster(folder, environment)
    try:
        for name in names:  # two that start at once on one machine may choose one port
            found.add(name)
        yield found
    finally:
        found.end()


def processes(setting: str) -> list[int]:
    """The processes with an environment variable that begins so (NAME=VALUE)."""
    numbers = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [number for number in numbers if f"\0{setting}".encode() in b"\0" + _bytes(number, "environ")]


def _bytes(process: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{process}/{name}").read_bytes()
    except OSError:
        return b""


def until(holds: Callable[[], object], seconds: float) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
