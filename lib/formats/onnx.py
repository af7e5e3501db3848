"""A network as ONNX, for other runtimes than PyTorch: exported for any batch size, and compared with what it came from.

Format: https://onnx.ai. Exporter: torch.onnx; runtime: onnxruntime, on the CPU.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lib.atomic import replacing
from lib.compaction.proof import FLOAT32_LIMIT, Gap, gap
from lib.compaction.shipping import ship
from lib.formats.checkpoint import Checkpoint
from lib.formats.fitting import refuse_misfit, refuse_squeezed
from lib.images.augmentation import STILL
from lib.images.batches import Batches
from lib.images.dataset import Dataset
from lib.images.minibatches import minibatches
from lib.networks.network import Network

INPUT, OUTPUT = "images", "logits"
BLOCK = 8  # channels: onnxruntime computes in blocks of 8 or 16, and others take a slower way (measured: docs/speed.md)


class Session:
    """An ONNX file, ready to run: normalised images (B, C, H, W) -> logits (B, num_classes)."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.runtime = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def __call__(self, images: Tensor) -> Tensor:
        """Logits of images."""
        (logits,) = self.runtime.run([OUTPUT], {INPUT: images.cpu().numpy()})
        return torch.from_numpy(logits)


@dataclass(frozen=True)
class Agreement:
    """What two networks say of the same images: largest difference of logits, also relative to max(1, |y|); predicted classes
    that differ.
    """

    max_abs: float
    relative: float
    changed: int
    images: int

    def __str__(self) -> str:
        return f"largest difference of logits {self.max_abs:.1e}, {self.changed} of {self.images:,} predicted classes changed"


def export(checkpoint: Checkpoint, images: Tensor, out: Path) -> Agreement:
    """Write a network as ONNX in the form that ships (`lib.compaction.shipping`), after comparing the file with the network
    as it was given, on normalised images (B, C, H, W) in uneven batches.

    shape, mean and std of its images go into the file's metadata, as JSON. Raises ValueError, and writes nothing, unless
    they agree as a compact network and its masked one must, and for a network that cannot take a single image.
    """
    network = checkpoint.network.cpu().eval()
    refuse_squeezed(network.architecture.name, network, images[:1])
    with replacing(out) as temporary:
        known = {"shape": checkpoint.shape, "mean": checkpoint.mean, "std": checkpoint.std}
        temporary.write_bytes(exported(ship(network, BLOCK), checkpoint.shape, known))
        found = agreement(network, Session(temporary), uneven(images))
        verify(found)
    return found


def exported(module: nn.Module, shape: tuple[int, ...], known: Mapping[str, Any]) -> bytes:
    """A module, images (B, *shape) -> logits, as ONNX for any number of images; known: for the metadata, as JSON."""
    import onnx

    program = torch.onnx.export(
        module.cpu().eval(),
        (torch.zeros(2, *shape),),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        part.ClearField("metadata_props")  # where in the code it came from: paths of this machine, half of a small file
        part.ClearField("doc_string")
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in known.items()})
    content: bytes = model.SerializeToString(deterministic=True)
    return content


@torch.no_grad()
def agreement(network: Network, session: Session, batches: Iterable[Tensor]) -> Agreement:
    """Compare a network (CPU) with an ONNX file on normalised images (B, C, H, W); a NaN makes max_abs infinite."""
    gaps, changed, images = [Gap(0.0, 0.0)], 0, 0
    for batch in batches:
        expected, got = network.eval()(batch), session(batch)
        gaps.append(gap(expected, got))
        changed += int((expected.argmax(1) != got.argmax(1)).sum())
        images += len(batch)
    return Agreement(max(one.absolute for one in gaps), max(one.relative for one in gaps), changed, images)


def verify(found: Agreement) -> None:
    """Raise ValueError unless two networks agree as a compact one and its masked one must in float32. A predicted class may
    then change only where two logits are as close as that.
    """
    if not found.relative < FLOAT32_LIMIT:
        msg = f"the ONNX file is not equal to the network: {found}"
        raise ValueError(msg)


def evenly(dataset: Dataset, split: str, count: int | None, checkpoint: Checkpoint) -> Batches:
    """At most so many images of a split, evenly spaced (None: all), normalised for a checkpoint's network.

    Raises ValueError for images of another shape or other classes than the network's.
    """
    refuse_misfit("the network", checkpoint, dataset)
    part = dataset.splits[split]
    total = len(part.labels)
    chosen = torch.arange(total) if count is None or count >= total else torch.arange(count) * total // count
    return minibatches(dataset, part.select(chosen), STILL, torch.device("cpu"), (checkpoint.mean, checkpoint.std))


def uneven(images: Tensor) -> Sequence[Tensor]:
    """The images in batches of sizes that no exporter could have fixed: one, two, and the rest in some."""
    return [part for part in (images[:1], images[1:3], *images[3:].split(101)) if len(part)]


def top1(session: Session, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Percent of images whose label has the largest logit; batches: normalised images and labels."""
    right, images = 0, 0
    for inputs, labels in batches:
        right += int((session(inputs).argmax(1) == labels).sum())
        images += len(labels)
    return 100.0 * right / images
