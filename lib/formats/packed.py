"""A compact network in one file as small as it gets, which a reader either gives back bit for bit or refuses.

    magic FPBNET | version u16 | length of the file u64 | sha256 of all that follows | length u32 and header (zlib, JSON)
    | kept channels as bitmaps, a layer and a space after the other | tensors in the order of the network's state

Little endian. Tensors are as lib.formats.tensors writes them; their names, shapes and types follow from the architecture. The
checksum tells damage; what a well-meant file cannot hold is refused too, but the file is not signed.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import nn

from lib.formats import tensors, values
from lib.formats.checkpoint import Checkpoint, load
from lib.formats.codes import Coder
from lib.formats.header import LONGEST, Dense, Images, check_channels, check_plan, checked, document, outline, shown, text
from lib.formats.tensors import Reader, Sizes
from lib.networks.description import Architecture, Plan
from lib.networks.network import Network

MAGIC, VERSION, SUFFIX = b"FPBNET", 1, ".bin"
FRONT = struct.Struct("<6sHQ32s")
COUNT = struct.Struct("<I")
ROOM, TIMES = 2**24, 10  # bytes that a network may have above its kind's, and so many times its file


class PackedHeader(Dense, Images):
    """What a container says of its network besides kept channels and tensors; dense: it keeps all channels."""

    dense: bool


class Packed(NamedTuple):
    """A file's content and where its bytes go."""

    content: bytes
    sizes: Sizes


def pack(checkpoint: Checkpoint, coder: Coder) -> Packed:
    """A compact (or dense) network as a container. Raises ValueError for masks, NaN, and other types than float32."""
    if checkpoint.kept is not None:
        msg = "only a network without masks is packed; give the checkpoint of the compact stage"
        raise ValueError(msg)
    network, sizes = checkpoint.network, Sizes()
    values.check(network.state_dict())
    architecture = network.architecture
    content = {
        "name": architecture.name,
        "num_classes": architecture.num_classes,
        "in_channels": architecture.in_channels,
        "hidden": architecture.hidden,
        "dense": architecture.plan is None,
        "shape": checkpoint.shape,
        "mean": checkpoint.mean,
        "std": checkpoint.std,
        "notes": dict(checkpoint.notes),
    }
    if architecture.shortcut != "end":  # the usual one is left out, so that files stay the same byte for byte
        content["shortcut"] = architecture.shortcut
    checked(document(text(content)), PackedHeader)
    header = zlib.compress(text(content).encode(), 9)
    plan = architecture.plan
    index = b"" if plan is None else _bitmaps(plan, outline(replace(architecture, plan=None)))
    parts = [tensors.write(tensor, coder, _part(network, name), sizes) for name, tensor in network.state_dict().items()]
    sizes.parts["index"] = len(index)
    sizes.parts["header"] = FRONT.size + COUNT.size + len(header)
    return Packed(sealed(b"".join([COUNT.pack(len(header)), header, index, *parts])), sizes)


def sealed(body: bytes) -> bytes:
    """A body with magic, version, length and checksum before it."""
    length = FRONT.size + len(body)
    return FRONT.pack(MAGIC, VERSION, length, _digest(length, body)) + body


def unpack(content: bytes) -> Checkpoint:
    """The network of a container. Raises ValueError that says what is wrong: another kind of file, version, or damage."""
    if len(content) < FRONT.size or content[: len(MAGIC)] != MAGIC:
        msg = "this is no packed network of this project; make one with: python -m stages.encode"
        raise ValueError(msg)
    _, version, length, digest = FRONT.unpack_from(content)
    if version != VERSION:
        msg = f"this packed network has version {version}, this reader knows {VERSION}; read it with the version that wrote it"
        raise ValueError(msg)
    body = content[FRONT.size :]
    if length != len(content) or _digest(length, body) != digest:
        msg = f"this packed network is damaged: {len(content)} bytes of {length}, or changed ones; get it anew"
        raise ValueError(msg)
    try:
        return _read(Reader(body))
    except (ValueError, zlib.error) as error:
        msg = f"this packed network is damaged, though its checksum is right: {shown(str(error))}; get it anew"
        raise ValueError(msg) from error


def opened(path: Path) -> Checkpoint:
    """A network from a file, packed or a checkpoint. Raises ValueError that names the file and says what is wrong."""
    with path.open("rb") as file:
        packed = file.read(len(MAGIC)) == MAGIC
    return unpacked(path) if packed or path.suffix == SUFFIX else load(path)


def unpacked(path: Path) -> Checkpoint:
    """The network of a container file. Raises ValueError that names the file and says what is wrong."""
    try:
        return unpack(path.read_bytes())
    except ValueError as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from error


def _digest(length: int, body: bytes) -> bytes:
    total = hashlib.sha256(struct.pack("<HQ", VERSION, length))
    total.update(body)
    return total.digest()


def _read(reader: Reader) -> Checkpoint:
    header = checked(document(_text(reader)), PackedHeader)
    check_channels(header, header)
    network = outline(header.architecture())
    if not header.dense:
        network = outline(header.architecture(_plan(network, reader)))
    _check_size(network, len(reader.content))
    state = {key: tensors.read(reader, tensor) for key, tensor in network.state_dict().items()}
    reader.end()
    values.check(state)
    network.load_state_dict(state, assign=True)
    return Checkpoint(network.eval(), None, header.shape, header.mean, header.std, header.notes)


def _text(reader: Reader) -> bytes:
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(reader.take(*COUNT.unpack(reader.take(COUNT.size))), LONGEST)
    if not inflater.eof or inflater.unused_data:
        msg = f"its header is cut, goes on behind its end, or has more than {LONGEST:,} bytes"
        raise ValueError(msg)
    return inflated


def _check_size(network: Network, length: int) -> None:
    """Tensors of one value unfold from nothing, so what the header alone makes larger than its kind of network is bounded."""
    size, most = _bytes(network), ROOM + TIMES * length
    if size > most:
        most += _bytes(outline(Architecture(network.architecture.name, 10, 3)))
    if size > most:
        msg = f"its header asks for a network of {size:,} bytes, which the file of {length:,} bytes cannot hold"
        raise ValueError(msg)


def _bytes(network: Network) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())


def _sets(dense: Network) -> Iterator[tuple[str, str, int]]:
    """Every set of a plan: filters or spaces, its name, and how many there are when nothing is pruned."""
    yield from (("filters", name, len(weight)) for name, weight in dense.filters().items())
    yield from (("spaces", name, width) for name, width in dense.widths.items())


def _bitmaps(plan: Plan, dense: Network) -> bytes:
    maps = []
    for part, name, width in _sets(dense):
        kept = np.zeros(width, bool)
        kept[list(getattr(plan, part)[name])] = True
        maps.append(np.packbits(kept).tobytes())
    return b"".join(maps)


def _plan(dense: Network, reader: Reader) -> Plan:
    plan: dict[str, dict[str, tuple[int, ...]]] = {"filters": {}, "spaces": {}}
    for part, name, width in _sets(dense):
        bits = np.unpackbits(reader.array(np.dtype("u1"), -(-width // 8)))
        if bits[width:].any() or not bits.any():
            msg = f"{name} keeps no channel, or some behind its last"
            raise ValueError(msg)
        plan[part][name] = tuple(np.flatnonzero(bits).tolist())
    whole = Plan(**plan)
    check_plan(dense, whole)
    return whole


def _part(network: Network, tensor: str) -> str:
    module = network.get_submodule(tensor.rpartition(".")[0])
    kinds = {nn.Conv2d: "conv", nn.Linear: "linear", nn.BatchNorm2d: "batch_norm"}
    return next(name for kind, name in kinds.items() if isinstance(module, kind))
