"""Making the file that ships: shared weights, fine-tuned, packed, read back elsewhere and compared bit for bit."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lib.atomic import replacing, write_text
from lib.checkpoint import Checkpoint, load
from lib.container import Sizes, pack
from lib.distillation.objective import Objective
from lib.evaluation import evaluate
from lib.huffman import Coder
from lib.networks import build
from lib.networks.network import Network
from lib.params import read, section
from lib.pruning.masks import full
from lib.pruning.method import Method
from lib.quantization import Bits, share_, sum_gradients
from lib.runs import STILL, Run, Setting, train
from lib.training import Training

DIGITS = 6  # decimals kept


@section
class Params:
    """bits: of the codebooks, one number or by pattern of layer names (a layer that none fits stays float32).

    coder: of the indices into them. training: of codebooks, batch norms and biases, by cross entropy alone; null: none.
    """

    bits: Bits | Mapping[str, Bits]
    coder: Coder
    training: Training | None

    @property
    def patterns(self) -> Mapping[str, int]:
        """Bits by pattern of names."""
        return {"*": self.bits} if isinstance(self.bits, int) else self.bits


def encode(
    document: Mapping[str, Any], source: Path, setting: Setting, out: Path, read_back: Callable[[Path], Checkpoint]
) -> None:
    """Write compact checkpoint `source` as container `out`, and numbers about it beside (.json, see `report`).

    read_back: opens a container, in a process of its own. Raises ValueError, and writes nothing, when what it finds is not
    bit for bit the network that was written, or scores differently on the test split.
    """
    params = read(document, "encode", Params)
    checkpoint = load(source)
    if checkpoint.masks is not None:
        msg = f"{source} holds masks; give the checkpoint that the compact stage wrote"
        raise ValueError(msg)
    network = checkpoint.network.to(setting.device)
    labels = share_(network, params.patterns)
    if params.training is not None:
        sum_gradients(network, labels)
        _tune(network, params.training, setting, f"encode {source.stem}", document["encode"])
    packed = pack(replace(checkpoint, network=network.eval()), params.coder)
    with replacing(out) as temporary:
        temporary.write_bytes(packed.content)
        found = read_back(temporary).network
        compare(network, found)
        test = setting.batches("test", STILL)
        wanted, scored = (evaluate(one.to(setting.device), test).top1 for one in (network, found))
        if wanted != scored:
            msg = f"{out}: the network read back scores {scored} %, the one written {wanted} %"
            raise ValueError(msg)
    numbers = report(network, packed.sizes) | {"encoded_top1": round(scored, DIGITS)}
    write_text(out.with_suffix(".json"), json.dumps(numbers, indent=2, sort_keys=True) + "\n")


def compare(written: Network, found: Network) -> None:
    """Raise ValueError unless two networks have the same architecture and, bit for bit, the same tensors."""
    if found.architecture != written.architecture:
        msg = f"the network read back is a {found.architecture}, the one written a {written.architecture}"
        raise ValueError(msg)
    own = written.state_dict()
    wrong = [name for name, tensor in found.state_dict().items() if not _same(tensor, own[name].cpu())]
    if wrong:
        msg = f"the network read back differs from the one written in {', '.join(wrong)}"
        raise ValueError(msg)


def report(network: Network, sizes: Sizes) -> dict[str, float]:
    """Numbers about a container, all called encoded_*.

    bytes, and those of each part; ratio: how many times smaller than the dense network in float32, ratio_to_compact: than the
    compact one; stream_bytes: of the coded indices, entropy_bytes: the least they can have when coded one by one.
    """
    total = sum(sizes.parts.values())
    dense = build(replace(network.architecture, plan=None))
    return {
        "encoded_bytes": total,
        **{f"encoded_bytes_{part}": size for part, size in sizes.parts.items()},
        "encoded_ratio": round(_bytes(dense) / total, DIGITS),
        "encoded_ratio_to_compact": round(_bytes(network) / total, DIGITS),
        "encoded_stream_bytes": sizes.stream_bits // 8,
        "encoded_entropy_bytes": round(sizes.entropy_bits / 8, DIGITS),
    }


def _tune(network: Network, training: Training, setting: Setting, label: str, decides: Mapping[str, Any]) -> None:
    method, objective = Method(masks=lambda: full(network)), Objective(network, training.label_smoothing)
    train(Run(label, network, method, objective, training, training.epochs, {"encode": decides}), setting)


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Bit for bit: torch.equal takes -0.0 for 0.0."""
    return one.dtype == other.dtype and one.shape == other.shape and one.numpy().tobytes() == other.numpy().tobytes()


def _bytes(network: Network) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
