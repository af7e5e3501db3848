"""From a masked checkpoint to a compact one, proved equal on the test images to the network as it was given."""

from dataclasses import replace
from pathlib import Path

from lib.atomic import write_text
from lib.compaction.compact import compact
from lib.compaction.proof import check_zeros, verify
from lib.formats.checkpoint import load, save
from lib.formats.fitting import batches_for
from lib.formats.plan import plan_text
from lib.images.dataset import Dataset
from lib.networks.architecture import Mode
from lib.training.device import Compute, prepare
from lib.training.evaluation import evaluate


def shrink(source: Path, dataset: Dataset, mode: Mode, compute: Compute, out: Path) -> None:
    """Write the compact form of checkpoint `source` to `out`, and its kept filters beside it (.json).

    Raises ValueError when the checkpoint holds no masks, what they drop is not zero, the data is not its own, or the two
    networks are not equal; then nothing is written.
    """
    masked = load(source)
    if masked.kept is None:
        msg = f"{source} holds no masks; give a checkpoint of the prune or distill stage"
        raise ValueError(msg)
    device = prepare(compute)
    check_zeros(masked.network, masked.kept, source)
    network = masked.network.to(device)
    test = batches_for(source, masked, dataset, "test", device)
    small = compact(network, masked.kept, mode)
    difference = verify(network, small, (images for images, _ in test.plain(test.at_once(500))))
    notes = {
        **masked.notes,
        "compaction": mode,
        "keep_ratio_achieved": masked.kept.share,
        "max_abs_logit_difference": difference.float32,
        "max_abs_logit_difference_float64": difference.float64,
        "masked_top1": evaluate(network, test).top1,
    }
    save(out, replace(masked, network=small, kept=None, notes=notes))
    write_text(out.with_suffix(".json"), plan_text(small))
