"""Making the file that ships: shared weights, fine-tuned, packed, read back elsewhere and compared bit for bit."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch

from lib.atomic import replacing, write_text
from lib.formats.checkpoint import Checkpoint, load, save
from lib.formats.codes import Coder
from lib.formats.fitting import refuse_misfit
from lib.formats.packed import SUFFIX, pack, unpacked
from lib.formats.tensors import Sizes
from lib.images.augmentation import STILL
from lib.masks.kept import Kept, everything
from lib.masks.weights import weights
from lib.networks import outline
from lib.networks.network import Network
from lib.params.bounds import Pattern
from lib.params.section import read, section
from lib.progress import layers
from lib.pruning.held import held
from lib.quantization.sharing import Bits, Labels, share_, sum_gradients
from lib.training.evaluation import evaluate
from lib.training.loop import Training
from lib.training.objective import Objective
from lib.training.run import Run, Setting, trained
from lib.training.taps import Tapped

DIGITS = 6  # decimals kept
MEASURED = ("validation_top1", "pruned_top1", "masked_top1", "max_abs_logit_difference", "max_abs_logit_difference_float64")


@section
class EncodeSettings:
    """bits: of the codebooks, one number or by pattern of layer names (a layer that none fits stays float32).

    coder: of the indices into them. training: of codebooks, batch norms, biases and layers that no pattern fits, by cross
    entropy alone and with zeros held; null: none.
    """

    bits: Bits | Mapping[Pattern, Bits]
    coder: Coder
    training: Training | None

    @property
    def patterns(self) -> Mapping[str, int]:
        """Bits by pattern of names."""
        return {"*": self.bits} if isinstance(self.bits, int) else self.bits


def encode(
    document: Mapping[str, Any], source: Path, setting: Setting, out: Path, read_back: Callable[[Path], Checkpoint]
) -> None:
    """Write compact checkpoint `source` as container `out` (.bin), and numbers about it beside (.json, see `report`).

    read_back: opens a container, in a process of its own. Raises ValueError, and writes nothing, when what it finds is not
    bit for bit the network that was written, or scores differently on the test split.
    """
    if out.suffix != SUFFIX:
        msg = (
            f"{out}: a packed network's name ends in {SUFFIX}, its numbers go beside it into .json; name it {out.stem}{SUFFIX}"
        )
        raise ValueError(msg)
    params = read(document, "encode", EncodeSettings)
    checkpoint = load(source)
    setting = _fitting(setting, checkpoint, source)
    network = checkpoint.network.to(setting.device)
    labels = share_(network, params.patterns, lambda names: layers(names, f"sharing {source.stem}"))
    with _tuned(network, labels, params.training, setting, f"encode {source.stem}", document["encode"]):
        tuned = replace(checkpoint, network=network.eval(), notes=_notes(checkpoint.notes, params))
        _write(tuned, params.coder, setting, out, read_back)


def _write(tuned: Checkpoint, coder: Coder, setting: Setting, out: Path, read_back: Callable[[Path], Checkpoint]) -> None:
    packed = pack(tuned, coder)
    with replacing(out) as temporary:
        temporary.write_bytes(packed.content)
        found = read_back(temporary)
        compare(tuned, found)
        test = setting.batches("test", STILL)
        wanted, scored = (evaluate(one.network.to(setting.device), test).top1 for one in (tuned, found))
        if wanted != scored:
            msg = f"{out}: the network read back scores {scored} %, the one written {wanted} %"
            raise ValueError(msg)
    numbers = report(tuned.network, packed.sizes) | {"encoded_top1": round(scored, DIGITS)}
    write_text(out.with_suffix(".json"), json.dumps(numbers, indent=2, sort_keys=True) + "\n")


def decode(packed: Path, out: Path) -> None:
    """Write the network in container `packed` as checkpoint `out`."""
    save(out, unpacked(packed))


def read_back(command: Sequence[str]) -> Callable[[Path], Checkpoint]:
    """Opens a container in a process of its own: `command --import CONTAINER --out CHECKPOINT`.

    What it gives raises ValueError when the process fails.
    """

    def elsewhere(path: Path) -> Checkpoint:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "found.safetensors"
            words = [*command, "--import", str(path), "--out", str(copy)]
            done = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                msg = f"a fresh process cannot read the packed network: {done.stderr.strip()}"
                raise ValueError(msg)
            return load(copy)

    return elsewhere


def compare(written: Checkpoint, found: Checkpoint) -> None:
    """Raise ValueError unless two checkpoints are the same: architecture, images, notes and, bit for bit, all tensors."""
    for what in ("network.architecture", "shape", "mean", "std", "notes"):
        mine, theirs = (attrgetter(what)(one) for one in (written, found))
        if mine != theirs:
            msg = f"the network read back has {what} {theirs}, the one written {mine}"
            raise ValueError(msg)
    own = written.network.state_dict()
    wrong = [name for name, tensor in found.network.state_dict().items() if not _same(tensor, own[name].cpu())]
    if wrong:
        msg = f"the network read back differs from the one written in {', '.join(wrong)}"
        raise ValueError(msg)


def report(network: Network, sizes: Sizes) -> dict[str, float]:
    """Numbers about a container, all called encoded_*.

    bytes, and those of each part; ratio: how many times smaller than the dense network in float32, ratio_to_compact: than the
    compact one; stream_bytes: of the coded indices, entropy_bytes: the least they can have when coded one by one.
    """
    total = sum(sizes.parts.values())
    dense = outline(network.architecture.dense)
    return {
        "encoded_bytes": total,
        **{f"encoded_bytes_{part}": size for part, size in sizes.parts.items()},
        "encoded_ratio": round(_bytes(dense) / total, DIGITS),
        "encoded_ratio_to_compact": round(_bytes(network) / total, DIGITS),
        "encoded_stream_bytes": sizes.stream_bits // 8,
        "encoded_entropy_bytes": round(sizes.entropy_bits / 8, DIGITS),
    }


def _fitting(setting: Setting, checkpoint: Checkpoint, source: Path) -> Setting:
    """The setting with images as the network knows them; one from elsewhere has a normalisation of its own."""
    if checkpoint.kept is not None:
        msg = f"{source} holds masks; give the checkpoint that the compact stage wrote"
        raise ValueError(msg)
    refuse_misfit(source, checkpoint, setting.dataset)
    return replace(setting, dataset=replace(setting.dataset, mean=checkpoint.mean, std=checkpoint.std))


@contextmanager
def _tuned(
    network: Network, labels: Labels, training: Training | None, setting: Setting, label: str, decides: Mapping[str, Any]
) -> Iterator[None]:
    """Train what is shared, and the rest with its zeros held; write the network inside.

    Raises ValueError where weights that share a value parted.
    """
    if training is None:
        yield
        return
    sum_gradients(network, labels)
    zeros = {name: weight != 0 for name, weight in weights(network).items() if name not in labels}
    hooks = held(network, Kept(everything(network).filters, zeros))
    objective = Objective(Tapped(network), training.label_smoothing)
    run = Run(label, network, hooks, objective, training, training.epochs, {"encode": decides}, "encode.training")
    with trained(run, setting):
        parted = [name for name, own in labels.items() if len(weights(network)[name].unique()) > len(own.unique())]
        if parted:
            msg = f"weights that share a value were moved apart in {', '.join(parted)}; a bug, tell it with your torch version"
            raise ValueError(msg)
        yield


def _notes(notes: Mapping[str, Any], params: EncodeSettings) -> dict[str, Any]:
    """Those of the compact network, less what was measured on other weights."""
    longer = params.training.epochs if params.training else 0
    kept = {name: value for name, value in notes.items() if name not in MEASURED}
    counted = {"epochs": notes["epochs"] + longer} if "epochs" in notes else {}
    return kept | counted | {"encoded": {"bits": dict(params.patterns), "coder": params.coder}}


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Bit for bit: torch.equal takes -0.0 for 0.0."""
    return one.dtype == other.dtype and one.shape == other.shape and one.numpy().tobytes() == other.numpy().tobytes()


def _bytes(network: Network) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
