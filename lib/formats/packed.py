"""A compact network in one file as small as it gets, which a reader either gives back bit for bit or refuses.

    magic FPBNET | version u16 | length of the file u64 | sha256 of all that follows | length u32 and header (zlib, JSON)
    | kept filters as bitmaps, layer by layer | tensors; both in the order of their names

Little endian. Tensors are as lib.formats.tensors writes them; their names, shapes and types follow from the architecture. The
checksum tells damage; what a well-meant file cannot hold is refused too, but the file is not signed.
"""

import hashlib
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from lib.formats import tensors, values
from lib.formats.checkpoint import Checkpoint, load
from lib.formats.codes import Coder
from lib.formats.header import LONGEST, Dense, Images, check_channels, checked, dense_record, document, shown, text
from lib.formats.tensors import Reader, Sizes
from lib.masks.weights import weights
from lib.networks import fill_, outline
from lib.networks.architecture import Architecture, Mode
from lib.networks.builders import RefusedError
from lib.networks.network import Network, described
from lib.networks.outlining import for_a_file
from lib.params.named import is_own_code

MAGIC, VERSION, SUFFIX = b"FPBNET", 2, ".bin"
FRONT = struct.Struct("<6sHQ32s")
COUNT = struct.Struct("<I")
ROOM, TIMES = 2**24, 10  # bytes that a network may have, and so many times its file, whatever its header says
MORE_ROOM, MORE_TIMES = 2**26, 40  # where its kind is as large: a weight takes at least a bit or so


class PackedHeader(Dense, Images):
    """What a container says of its network besides kept filters and tensors. compaction: null for a network that keeps all."""

    compaction: Mode | None


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
        **dense_record(architecture),
        "compaction": None if architecture.kept is None else architecture.mode,
        "shape": checkpoint.shape,
        "mean": checkpoint.mean,
        "std": checkpoint.std,
        "notes": dict(checkpoint.notes),
    }
    checked(document(text(content)), PackedHeader)
    header = zlib.compress(text(content).encode(), 9)
    index = b"" if architecture.kept is None else _bitmaps(architecture)
    state = sorted(network.state_dict().items())  # the order of a graph's own depends on how it was made
    layers = weights(network)
    parts = [tensors.write(tensor, coder, _part(layers, name), sizes) for name, tensor in state]
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
        with for_a_file(len(content)):
            return _read(Reader(body))
    except RefusedError:  # nothing is damaged
        raise
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
    architecture = header.architecture()
    if header.compaction is not None:
        architecture = architecture.with_kept(_kept(architecture, reader), header.compaction)
    network = outline(architecture)
    _check_size(network, len(reader.content))
    state = {key: tensors.read(reader, tensor) for key, tensor in sorted(network.state_dict().items())}
    reader.end()
    values.check(state)
    fill_(network, state)
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
        most = max(most, min(_bytes(outline(_kind(network.architecture))), MORE_ROOM + MORE_TIMES * length))
    if size > most:
        msg = f"its header asks for a network of {size:,} bytes, which the file of {length:,} bytes cannot hold"
        raise ValueError(msg)


def _kind(given: Architecture) -> Architecture:
    """The network as its builder has it, whatever arguments a file gives; the user's own builder needs its arguments."""
    if is_own_code(given.name):
        return given.dense
    return Architecture(given.name, min(given.num_classes, 1000), min(given.in_channels, 3), given.size)


def _bytes(network: Network) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())


def _bitmaps(architecture: Architecture) -> bytes:
    """One bit a filter of every prunable layer."""
    maps, kept_filters = [], dict(architecture.kept or ())
    for name, layer in sorted(described(architecture.dense).layers.items()):
        kept = np.zeros(layer.width, bool)
        kept[list(kept_filters.get(name, range(layer.width)))] = True
        maps.append(np.packbits(kept).tobytes())
    return b"".join(maps)


def _kept(dense: Architecture, reader: Reader) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for name, layer in sorted(described(dense).layers.items()):
        bits = np.unpackbits(reader.array(np.dtype("u1"), -(-layer.width // 8)))
        if bits[layer.width :].any() or not bits.any():
            msg = f"{name} keeps no filter, or some behind its last"
            raise ValueError(msg)
        found[name] = tuple(np.flatnonzero(bits).tolist())
    return found


def _part(layers: Mapping[str, Tensor], tensor: str) -> str:
    """What a tensor is counted as: by the weight of its layer, or as one of the rest."""
    weight = layers.get(tensor.rpartition(".")[0])
    if weight is None:
        return "batch_norm"
    return "conv" if weight.dim() > 2 else "linear"
