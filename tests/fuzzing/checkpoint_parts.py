"""Taking a checkpoint apart, and putting it together under a right checksum."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open
from safetensors.torch import load, save
from torch import Tensor

from lib.formats import checkpoint
from lib.formats.checkpoint import Checkpoint, digest

State = dict[str, Tensor]


class Parts(NamedTuple):
    """A network, its checkpoint's header and tensors."""

    network: Checkpoint
    header: dict[str, Any]
    state: State

    def file(self, *, sealed: bool = True) -> bytes:
        """The checkpoint; sealed: under its own checksum."""
        checksum = {"sha256": digest(self.header, self.state)} if sealed else {}
        return save(self.state, {"header": json.dumps(self.header | checksum, sort_keys=True)})

    def changed(self, **changes: Any) -> bytes:
        """The checkpoint, with changes to its header."""
        return self._replace(header=self.header | changes).file()

    def built(self, **changes: Any) -> bytes:
        """The checkpoint, with changes to its architecture."""
        return self.changed(architecture=self.header["architecture"] | changes)

    def worded(self, change: Callable[[str], str]) -> bytes:
        """The checkpoint, with a change to the text of its header, under the checksum from before it."""
        header = json.dumps(self.header | {"sha256": digest(self.header, self.state)}, sort_keys=True)
        return save(self.state, {"header": change(header)})

    def holding(self, more: State) -> bytes:
        """The checkpoint, with more tensors."""
        return self._replace(state=self.state | more).file()

    def altered(self, chance: random.Random, ending: str, change: Callable[[Tensor], Tensor]) -> bytes:
        """The checkpoint, with a change to a copy of a tensor whose name ends so."""
        name = chance.choice([name for name in self.state if name.endswith(ending)])
        return self._replace(state=self.state | {name: change(self.state[name].clone())}).file()


def parted(network: Checkpoint, path: Path) -> Parts:
    """The parts of a network's checkpoint, which is written to a path."""
    checkpoint.save(path, network)
    return Parts(network, header(path), load(path.read_bytes()))


def header(path: Path) -> dict[str, Any]:
    """The header of a checkpoint."""
    with safe_open(path, framework="pt") as file:
        content: dict[str, Any] = json.loads(file.metadata()["header"])
    return content


def put(value: float) -> Callable[[Tensor], Tensor]:
    """Put a value in the last place."""

    def change(tensor: Tensor) -> Tensor:
        tensor.view(-1)[-1] = value
        return tensor

    return change
