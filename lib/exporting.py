"""A network as ONNX, for other runtimes than PyTorch: exported for any batch size, and compared with what it came from.

Format: https://onnx.ai. Exporter: torch.onnx; runtime: onnxruntime, on the CPU.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lib.atomic import replacing
from lib.batches import Batches
from lib.checkpoint import Checkpoint
from lib.compaction import FLOAT32_LIMIT
from lib.datasets import Split
from lib.networks.network import Network
from lib.runs import STILL

INPUT, OUTPUT = "images", "logits"


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
    """What two networks say of the same images: largest difference of logits, predicted classes that differ."""

    max_abs: float
    changed: int
    images: int

    def __str__(self) -> str:
        return f"largest difference of logits {self.max_abs:.1e}, {self.changed} of {self.images:,} predicted classes changed"


def export(checkpoint: Checkpoint, out: Path) -> None:
    """Write a network as ONNX in one file. shape, mean and std of its images go into the file's metadata, as JSON."""
    import onnx

    network = checkpoint.network.cpu().eval()
    program = torch.onnx.export(
        network,
        (torch.zeros(2, *checkpoint.shape),),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    known = {"shape": checkpoint.shape, "mean": checkpoint.mean, "std": checkpoint.std}
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        part.ClearField("metadata_props")  # where in the code it came from: paths of this machine, half of a small file
        part.ClearField("doc_string")
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in known.items()})
    with replacing(out) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


@torch.no_grad()
def agreement(network: Network, session: Session, batches: Iterable[Tensor]) -> Agreement:
    """Compare a network (CPU) with an ONNX file on normalised images (B, C, H, W); a NaN makes max_abs infinite."""
    worst, changed, images = 0.0, 0, 0
    for batch in batches:
        mine, theirs = network.eval()(batch), session(batch)
        gap = (mine - theirs).abs()
        worst = max(worst, float(gap.max()) if bool(gap.isfinite().all()) else float("inf"))
        changed += int((mine.argmax(1) != theirs.argmax(1)).sum())
        images += len(batch)
    return Agreement(worst, changed, images)


def verify(found: Agreement) -> None:
    """Raise ValueError unless two networks agree as a compact one and its masked one must."""
    if not (found.max_abs < FLOAT32_LIMIT and found.changed == 0):
        msg = f"the ONNX file is not equal to the network: {found}"
        raise ValueError(msg)


def evenly(split: Split, count: int | None, checkpoint: Checkpoint) -> Batches:
    """At most so many images of a split, evenly spaced (None: all), normalised for a checkpoint's network."""
    step = 1 if count is None else max(1, len(split.labels) // count)
    images, labels = split.images[::step][:count], split.labels[::step][:count]
    return Batches(images, labels, checkpoint.mean, checkpoint.std, STILL, torch.device("cpu"))


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
