"""A compact network in one file as small as it gets, which a reader either gives back bit for bit or refuses.

    magic FPBNET | version u16 | length of the file u64 | sha256 of all that follows | length u32 and header (zlib, JSON)
    | kept channels as bitmaps, a layer and a space after the other | tensors in the order of the network's state

Little endian. A tensor is what is smaller: its raw bytes, or the table of its distinct values and a coded stream of indices
into it (lib.formats.codes), which serves shared weights without knowing of them. Names, shapes and types follow from the
architecture. The checksum tells damage; what a well-meant file cannot hold is refused too, but the file is not signed.
"""

import hashlib
import json
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, TypeAdapter
from torch import Tensor, nn

from lib.formats import codes
from lib.formats.checkpoint import Checkpoint, load
from lib.formats.codes import Coder, Message
from lib.networks import build
from lib.networks.description import Architecture, Placement, Plan
from lib.networks.network import Network
from lib.params.section import section

MAGIC, VERSION, SUFFIX = b"FPBNET", 1, ".bin"
FRONT = struct.Struct("<6sHQ32s")
COUNT = struct.Struct("<I")
STREAM = struct.Struct("<II")  # distinct values, words
KINDS: tuple[Coder | None, ...] = (None, "huffman", "ans")  # None: raw
PATTERNS: Mapping[torch.dtype, torch.dtype] = {torch.float32: torch.int32, torch.int64: torch.int64}
MODEL: Mapping[str, np.dtype[Any]] = {"huffman": np.dtype("<u1"), "ans": np.dtype("<u4")}
PARTS = ("conv", "linear", "batch_norm", "codebook", "index", "header")
WIDEST, LONGEST = 2**16, 2**24  # channels or classes, bytes of a header: far above what any network here has

Width = Annotated[int, Field(ge=1, le=WIDEST)]


@section
class Header:
    """What a container says of its network besides kept channels and tensors; dense: it keeps all channels."""

    name: str
    num_classes: Width
    in_channels: Width
    hidden: tuple[Width, ...]
    dense: bool
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    notes: dict[str, Any]
    shortcut: Placement = "end"


@dataclass
class Sizes:
    """Bytes by part, and of the coded streams: bits and least bits.

    conv, linear: weights (raw, or indices into a codebook) and biases. codebook: the values that are pointed at, and their
    code. index: which channels were kept.
    """

    parts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(PARTS, 0)))
    stream_bits: int = 0
    entropy_bits: float = 0.0


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
    _check(network)
    architecture = network.architecture
    header = {
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
        header["shortcut"] = architecture.shortcut
    text = zlib.compress(json.dumps(header, sort_keys=True).encode(), 9)
    index = b"" if architecture.plan is None else _bitmaps(architecture)
    tensors = [_packed(tensor, coder, _part(network, name), sizes) for name, tensor in network.state_dict().items()]
    sizes.parts["index"] = len(index)
    sizes.parts["header"] = FRONT.size + COUNT.size + len(text)
    return Packed(sealed(b"".join([COUNT.pack(len(text)), text, index, *tensors])), sizes)


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
        return _read(_Reader(body))
    except (ValueError, KeyError, RuntimeError, zlib.error) as error:
        msg = f"this packed network is damaged, though its checksum is right: {error}"
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
    return hashlib.sha256(struct.pack("<HQ", VERSION, length) + body).digest()


def _check(network: Network) -> None:
    state = network.state_dict()
    other = [f"{name} ({tensor.dtype})" for name, tensor in state.items() if tensor.dtype not in PATTERNS]
    if other:
        msg = f"only float32 networks are packed, got {', '.join(other)}; convert it with .float()"
        raise ValueError(msg)
    broken = [name for name, tensor in state.items() if tensor.isnan().any()]
    if broken:
        msg = f"NaN in {', '.join(broken)}: such a network is good for nothing; train it again"
        raise ValueError(msg)


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def take(self, length: int) -> bytes:
        start = self.place
        self.place += length
        if self.place > len(self.content):
            msg = f"{length} bytes are wanted, {len(self.content) - start} are left"
            raise ValueError(msg)
        return self.content[start : self.place]

    def array(self, kind: np.dtype[Any], count: int) -> NDArray[Any]:
        return np.frombuffer(self.take(kind.itemsize * count), kind)

    def end(self) -> None:
        if self.place < len(self.content):
            msg = f"{len(self.content) - self.place} bytes are left over"
            raise ValueError(msg)


def _read(reader: _Reader) -> Checkpoint:
    inflater = zlib.decompressobj()
    text = inflater.decompress(reader.take(*COUNT.unpack(reader.take(COUNT.size))), LONGEST)
    header = TypeAdapter(Header).validate_json(text)
    architecture = Architecture(header.name, header.num_classes, header.in_channels, header.hidden, shortcut=header.shortcut)
    if not header.dense:
        architecture = replace(architecture, plan=_plan(architecture, reader))
    network = build(architecture)
    network.load_state_dict({key: _unpacked(reader, tensor) for key, tensor in network.state_dict().items()})
    reader.end()
    return Checkpoint(network.eval(), None, header.shape, header.mean, header.std, header.notes)


def _sets(architecture: Architecture) -> Iterator[tuple[str, str, int]]:
    """Every set of a plan: filters or spaces, its name, and how many there are when nothing is pruned."""
    dense = build(replace(architecture, plan=None))
    yield from (("filters", name, len(weight)) for name, weight in dense.filters().items())
    yield from (("spaces", name, width) for name, width in dense.widths.items())


def _bitmaps(architecture: Architecture) -> bytes:
    maps = []
    for part, name, width in _sets(architecture):
        kept = np.zeros(width, bool)
        kept[list(getattr(architecture.plan, part)[name])] = True
        maps.append(np.packbits(kept).tobytes())
    return b"".join(maps)


def _plan(architecture: Architecture, reader: _Reader) -> Plan:
    found: dict[str, dict[str, tuple[int, ...]]] = {"filters": {}, "spaces": {}}
    for part, name, width in _sets(architecture):
        bits = np.unpackbits(reader.array(np.dtype("u1"), -(-width // 8)), count=width)
        found[part][name] = tuple(np.flatnonzero(bits).tolist())
        if not found[part][name]:
            msg = f"{name} keeps no channel"
            raise ValueError(msg)
    return Plan(**found)


def _kind(dtype: torch.dtype) -> np.dtype[Any]:
    return np.dtype(f"<i{PATTERNS[dtype].itemsize}")


def _packed(tensor: Tensor, coder: Coder, part: str, sizes: Sizes) -> bytes:
    """One tensor, in whichever form is smaller."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    patterns = flat.view(PATTERNS[flat.dtype]).numpy().astype(_kind(flat.dtype))
    raw: bytes = patterns.tobytes()
    table, symbols = np.unique(patterns, return_inverse=True)
    if len(table) and len(table) <= len(patterns) // 2 + 1:
        message = codes.encode(symbols.astype(np.int32), len(table), coder)
        model, words = message.model.astype(MODEL[coder]).tobytes(), message.words.astype("<u4").tobytes()
        codebook = STREAM.pack(len(table), len(message.words)) + table.tobytes() + model
        if len(codebook) + len(words) < len(raw):
            sizes.parts["codebook"] += len(codebook)
            sizes.parts[part] += 1 + len(words)
            sizes.stream_bits += 8 * len(words)
            sizes.entropy_bits += codes.entropy(np.bincount(symbols))
            coded: bytes = bytes([KINDS.index(coder)]) + codebook + words
            return coded
    sizes.parts[part] += 1 + len(raw)
    return bytes([KINDS.index(None)]) + raw


def _unpacked(reader: _Reader, like: Tensor) -> Tensor:
    """The next tensor, of the shape and type of `like`."""
    (number,) = reader.take(1)
    if number >= len(KINDS):
        msg = f"a tensor is coded in way {number}, there are {len(KINDS)}"
        raise ValueError(msg)
    coder, kind = KINDS[number], _kind(like.dtype)
    if coder is None:
        patterns = reader.array(kind, like.numel())
    else:
        values, words = STREAM.unpack(reader.take(STREAM.size))
        table, model = reader.array(kind, values), reader.array(MODEL[coder], values)
        message = Message(coder, model.astype(np.uint32), reader.array(np.dtype("<u4"), words))
        patterns = table[codes.decode(message, like.numel())]
    return torch.from_numpy(patterns.astype(kind.newbyteorder("="))).view(like.dtype).reshape(like.shape)


def _part(network: Network, tensor: str) -> str:
    module = network.get_submodule(tensor.rpartition(".")[0])
    kinds = {nn.Conv2d: "conv", nn.Linear: "linear", nn.BatchNorm2d: "batch_norm"}
    return next(name for kind, name in kinds.items() if isinstance(module, kind))
