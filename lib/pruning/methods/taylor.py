"""Keep the filters whose removal would change the loss most, to first order; once, then train with the masks held.

Molchanov, Tyree, Karras, Aila, Kautz, "Pruning Convolutional Neural Networks for Resource Efficient Inference", ICLR 2017,
https://arxiv.org/abs/1611.06440, in the form of weights: Molchanov et al., CVPR 2019, https://arxiv.org/abs/1906.10771
Reference: uuuChen/Filter-Pruning-with-Attention-Preserving-Self-Distillation, helpers/pruner.py, mode filter-g-a (224d4d6).

score = sum of |w g| over a filter, g the mean gradient over `samples` training images.
Departs: one shot by layer, where the papers remove few filters at a time from a global ranking (`prune.layers.allocation`).
"""

from lib.masks.kept import Kept
from lib.networks.network import Network
from lib.params.bounds import Images, Size
from lib.params.section import section
from lib.pruning.gradients import gradients
from lib.pruning.held import held
from lib.pruning.method import Common, Method, Request
from lib.pruning.scores import first_order


@section
class TaylorSettings(Common):
    """samples: images for the gradient. batch: how many at once."""

    samples: Images
    batch: Size


def method(network: Network, params: TaylorSettings, request: Request) -> Method:
    """One-shot pruning by first-order importance."""
    slopes = gradients(network, request.sample(params.samples, params.batch))
    scores = {name: first_order(weight, slopes[name]) for name, weight in network.filters().items()}
    return held(network, Kept(request.selection(network).choose(scores)))
