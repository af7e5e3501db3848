"""NGGM: drop the filters that are near the others and that the loss hardly feels: distance and gradient, each scaled.

The pruner of https://github.com/uuuChen/Filter-Pruning-with-Attention-Preserving-Self-Distillation; no paper spells the name
out (normalised gradient and geometric median, by its modes).
Reference: that repository, helpers/pruner.py, mode filter-n-g-gm-1 (224d4d6).

score = gamma mm(D) + (1 - gamma) mm(A), mm scaling to [0, 1] over the layer; D the sum of distances to the layer's filters, A
the L1 norm of the filter's mean gradient over `samples` training images. One shot, then the masks are held.
Departs: the gradient is summed over mini-batches on the device (batch norm sees each by itself, and its statistics are
restored afterwards), where the reference runs one giant batch on the CPU; a layer of equal values scores 0, where the
reference gets NaN; `squared: true` is the reference's distance, which ranks by distance to the mean filter, not to a median.
"""

from lib.masks.kept import Kept
from lib.networks.network import Network
from lib.params.bounds import Fraction, Images, Size
from lib.params.section import section
from lib.pruning.gradients import gradients
from lib.pruning.held import held
from lib.pruning.method import Common, Method, Request
from lib.pruning.scores import gradient_median


@section
class NggmSettings(Common):
    """gamma: weight of the distances. squared: square them. samples: images for the gradient. batch: how many at once."""

    gamma: Fraction
    squared: bool
    samples: Images
    batch: Size


def method(network: Network, params: NggmSettings, request: Request) -> Method:
    """One-shot pruning by distance and gradient."""
    slopes = gradients(network, request.sample(params.samples, params.batch))
    scores = {
        name: gradient_median(weight.detach(), slopes[name], params.gamma, squared=params.squared)
        for name, weight in network.filters().items()
    }
    return held(network, Kept(request.selection(network).choose(scores)))
