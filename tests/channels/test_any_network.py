"""A network of every family and of every way in which channels hang together stays the same function when made small."""

import pytest
import torch

from lib.compaction.compact import compact
from lib.compaction.proof import FLOAT64_LIMIT, gap
from lib.cost.macs import count
from lib.masks.kept import Kept
from lib.steps.probe import Wanted, examine
from lib.steps.specimen import alive, images_for
from tests.small_networks import NAMES
from tests.tiers import slow_but

WHOLE = {  # what of the layers' filters stays, by the rules of the networks: of the others nothing does
    "torchvision:convnext_tiny": 0.767,  # layer norms mix channels
}
NETWORKS = (
    *("resnet20", "torchvision:alexnet", "torchvision:convnext_tiny", "torchvision:efficientnet_b0", "torchvision:googlenet"),
    *("torchvision:inception_v3", "torchvision:mnasnet0_5", "torchvision:mobilenet_v3_small", "torchvision:regnet_x_400mf"),
    *("torchvision:resnet18", "torchvision:resnext50_32x4d", "torchvision:squeezenet1_1", *NAMES.values()),
)
QUICK = ("resnet20", "torchvision:convnext_tiny", "torchvision:googlenet", "torchvision:regnet_x_400mf", *NAMES.values())


@pytest.mark.parametrize("name", slow_but(QUICK, NETWORKS))
def test_uneven_masks_with_a_single_filter_leave_the_same_function(name: str) -> None:
    wanted = Wanted(0.5, ("coupled", "scatter"))
    network = alive(name, wanted.side(name))
    record = examine(network, wanted)
    assert record.traced
    assert (record.exact_coupled, record.exact_scatter) == (True, True), record.reason
    assert record.prunable_share == pytest.approx(WHOLE.get(name, 1.0), abs=0.005)
    everything = compact(
        network, Kept({layer.name: torch.ones(layer.width, dtype=torch.bool) for layer in network.layers}), "coupled"
    )
    batch = images_for(network)
    with torch.no_grad():
        assert gap(network(batch), everything(batch)).relative < FLOAT64_LIMIT
    shape = network.architecture.shape
    assert count(everything, shape) == count(network, shape)
