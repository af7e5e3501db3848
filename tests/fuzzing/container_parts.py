"""Taking a packed network apart, and putting it together under a right checksum."""

import json
import random
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lib.formats import tensors
from lib.formats.checkpoint import Checkpoint
from lib.formats.packed import COUNT, FRONT, _bitmaps, pack, sealed
from lib.formats.tensors import Sizes
from lib.networks import outline
from lib.networks.architecture import Architecture


class Parts(NamedTuple):
    """A network, its container's header, and the kept filters as bitmaps."""

    network: Checkpoint
    header: dict[str, Any]
    bitmaps: bytes

    def container(self, **changes: Any) -> bytes:
        """The container, with changes to its header."""
        return self.worded(lambda text: json.dumps(json.loads(text) | changes))

    def worded(self, change: Callable[[str], str], behind: bytes = b"", last: bytes = b"") -> bytes:
        """The container, with a change to the text of its header, and bytes behind the header and behind the tensors."""
        text = zlib.compress(change(json.dumps(self.header)).encode()) + behind
        return sealed(COUNT.pack(len(text)) + text + self.bitmaps + coded(self.network.network.state_dict()) + last)

    def poisoned(self, chance: random.Random, ending: str, value: float) -> bytes:
        """The container, with one value of a tensor changed whose name ends so."""
        state = dict(self.network.network.state_dict())
        name = chance.choice([name for name in state if name.endswith(ending) and state[name].is_floating_point()])
        state[name] = state[name].clone()
        state[name].view(-1)[-1] = value
        text = zlib.compress(json.dumps(self.header).encode())
        return sealed(COUNT.pack(len(text)) + text + self.bitmaps + coded(state))

    def unfolding(self, hidden: list[int]) -> bytes:
        """The container with hidden layers of zeros, which take next to no bytes."""
        own, wide = self.network.network.state_dict(), self.network.network.architecture.with_arguments({"hidden": hidden})
        text = zlib.compress(json.dumps(self.header | {"arguments": wide.told}).encode())
        parts = [
            coded({name: own[name]}) if name in own else constant(tensor.numel())
            for name, tensor in sorted(outline(wide).state_dict().items())
        ]
        return sealed(b"".join([COUNT.pack(len(text)), text, _bitmaps(wide) if wide.kept else b"", *parts]))

    def named(self, name: str, size: tuple[int, int]) -> bytes:
        """A container of a whole network of that name, all zeros, which take next to no bytes."""
        tensors_of = outline(Architecture(name, self.header["num_classes"], 3, size)).state_dict()
        said = self.header | {"name": name, "size": size, "arguments": {}, "compaction": None}
        text = zlib.compress(json.dumps(said).encode())
        parts = [
            constant(tensor.numel()) if tensor.is_floating_point() else coded({key: torch.zeros_like(tensor, device="cpu")})
            for key, tensor in sorted(tensors_of.items())
        ]
        return sealed(b"".join([COUNT.pack(len(text)), text, *parts]))


def parted(network: Checkpoint) -> Parts:
    """The parts of a network's container."""
    content, sizes = pack(network, "ans")
    (length,) = COUNT.unpack_from(content, FRONT.size)
    start = FRONT.size + COUNT.size
    bitmaps = content[start + length :][: sizes.parts["index"]]
    return Parts(network, json.loads(zlib.decompress(content[start : start + length])), bitmaps)


def coded(state: dict[str, Tensor]) -> bytes:
    """Tensors as they stand in a container."""
    return b"".join(tensors.write(tensor, "ans", "conv", Sizes()) for _, tensor in sorted(state.items()))


def constant(count: int) -> bytes:
    """So many float32 zeros as they stand in a container: a stream of no bits."""
    head = bytes([tensors.KINDS.index("ans")]) + tensors.STREAM.pack(1, 0) + bytes(4)
    return head + min(count, 2**32 - 1).to_bytes(4, "little")
