"""The numbers of one cell: accuracy on the test split, cost, and size."""

from pathlib import Path
from typing import NamedTuple

from lib.channels.steps import Join
from lib.cost.macs import count, fractional_macs
from lib.formats.checkpoint import load
from lib.formats.fitting import batches_for
from lib.images.dataset import Dataset
from lib.masks.filters import kept_count
from lib.masks.weights import zero_share
from lib.networks import outline
from lib.networks.network import Network
from lib.pruning.layers import LEFT_OUT, Layers
from lib.tables import predictions
from lib.tables.results import DIGITS
from lib.training.device import Compute, prepare
from lib.training.evaluation import judge

NOTED = (
    "epochs",
    "keep_ratio_achieved",
    "masked_top1",
    "max_abs_logit_difference",
    "max_abs_logit_difference_float64",
    "pruned_top1",
    "validation_top1",
)


class Measured(NamedTuple):
    """predictions: the content of a file, see `lib.tables.predictions`."""

    numbers: dict[str, float]
    predictions: bytes


def measure(source: Path, dataset: Dataset, keep_ratio: float, layers: Layers, compute: Compute) -> Measured:
    """Numbers of compact checkpoint `source`; keep_ratio and layers: as asked for. Raises ValueError for other data.

    Only here, and where compact and encode prove that nothing changed, are the test labels looked at.

    top1, top5 (with more than 5 classes), masked_top1, validation_top1 and pruned_top1 (see `lib.steps.prune`) in percent;
    params, macs and bytes are counts; sparsity is the share of zeros among the small network's weights, which its dense
    kernels multiply all the same; *_ratio are relative to the dense network; macs_fractional is the sources' closed form at
    real-valued widths, given only where it is about this network: every pruned layer has the cell's keep ratio, and every
    stream is whole.
    """
    checkpoint = load(source)
    device = prepare(compute)
    batches = batches_for(source, checkpoint, dataset, "test", device)
    network, architecture = checkpoint.network, checkpoint.network.architecture
    scores, predicted = judge(network.to(device), batches)
    dense = outline(architecture.dense)
    cost, whole = count(network, checkpoint.shape), count(dense, checkpoint.shape)
    notes = {name: checkpoint.notes[name] for name in NOTED if name in checkpoint.notes}  # an imported network has fewer
    numbers = {
        "classes": architecture.num_classes,
        "top1": scores.top1,
        "params": cost.params,
        "macs": cost.total_macs,
        "params_ratio": cost.params / whole.params,
        "macs_ratio": cost.total_macs / whole.total_macs,
        "bytes": source.stat().st_size,
        "sparsity": zero_share(network),
        **notes,
    }
    if _has_closed_form(network, dense, layers, keep_ratio):
        left_out = LEFT_OUT[layers.convention]
        numbers["macs_fractional"] = fractional_macs(dense, checkpoint.shape, keep_ratio, left_out=left_out)
    if architecture.num_classes > 5:
        numbers["top5"] = scores.top5
    told = predictions.content(predicted.numpy(), batches.labels.cpu().numpy())
    return Measured({name: _short(value) for name, value in numbers.items()}, told)


def _has_closed_form(network: Network, dense: Network, layers: Layers, keep_ratio: float) -> bool:
    """Whether the small network is what the sources count: uniform, with the filters kept that the ratio says.

    Widths that training chose (kdfs), streams that shrank (coupled) and single weights are something else.
    """
    uniform = layers.allocation == "uniform" and layers.multiple == 1
    if not uniform or layers.leave_out or layers.keep_ratios or layers.linear:
        return False
    filters = dict(network.architecture.kept or ())
    for layer in dense.layers:
        kept = len(filters.get(layer.name, range(layer.width)))
        whole = layer.part in LEFT_OUT[layers.convention] or layer.kind == "linear"
        wanted = layer.width if whole else kept_count(layer.width, keep_ratio, layers.rounding)
        if kept - wanted not in (0, 1):  # two stages that truncate keep one filter more
            return False
    streams = any(isinstance(step, Join) and not step.product for step in dense.description.steps)
    return network.architecture.kept is None or network.architecture.mode == "scatter" or not streams


def _short(value: float) -> float:
    """Six decimals, or six significant digits for what is smaller than that shows (differences of logits)."""
    return value if isinstance(value, int) else round(value, DIGITS) if abs(value) >= 1e-3 else float(f"{value:.5e}")
