"""Fewer bits a weight: shared values that fine-tuning moves, or 8-bit integers.

Weight sharing: the weights of a layer take one of a few values.

Han, Mao, Dally, "Deep Compression", ICLR 2016, https://arxiv.org/abs/1510.00149, sections 3 and 3.2
Reference: uuuChen/Filter-Pruning-with-Attention-Preserving-Self-Distillation, helpers/quantizer.py (224d4d6).

k-means of the non-zero weights of a layer, K = 2^bits centroids that start evenly spaced from the smallest to the largest;
zeros stay zero. Fine-tuning gives each centroid the sum of its weights' gradients; SGD with momentum and decay then moves all
of them alike. Departs: a layer of fewer distinct weights has those as its centroids, where the reference leaves it out and
fine-tuning would part them again; the sums are taken on the device by index, in one pass; what was zero is held by its label,
which does not change when a weight passes zero.

8-bit integers: onnxruntime's static quantisation (https://onnxruntime.ai), after training and without any more of it.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from threadpoolctl import threadpool_limits
from torch import Tensor

from lib.masks.weights import weights
from lib.networks.network import Network

ZERO = -1
ROUNDING = 1e-5  # of weights of about 1
Bits = Annotated[int, Field(ge=1, le=8)]
Labels = Mapping[str, Tensor]


def share(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Weights of any shape -> centroids (K,), ascending, of their type, and int64 labels of their shape, ZERO for zeros.

    K is 2^bits, or the number of distinct non-zero weights where those are fewer.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    flat = weight.detach().cpu().flatten().numpy()
    chosen = flat[flat != 0.0]
    count = 2**bits
    distinct, places = np.unique(chosen, return_inverse=True)
    labels = np.full(flat.shape, ZERO)
    if len(distinct) <= count:
        labels[flat != 0.0] = places
        return torch.from_numpy(distinct), torch.from_numpy(labels).view(weight.shape)
    _, power = np.frexp(np.abs(chosen).max())
    chosen = np.ldexp(chosen, -power)  # the same numbers, where squares of very small ones are no zeros
    start = np.linspace(chosen.min(), chosen.max(), count)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # after 300 rounds the clusters are as good as any
        found = KMeans(count, init=start, n_init=1, algorithm="lloyd").fit(chosen[:, None])
    order = np.argsort(found.cluster_centers_[:, 0])
    rank = np.argsort(order)
    centres = found.cluster_centers_[order, 0]
    labels[flat != 0.0] = _nearest(chosen, centres, rank[found.labels_])
    centroids = np.ldexp(centres, power)
    return torch.from_numpy(centroids), torch.from_numpy(labels).view(weight.shape)


def _nearest(values: np.ndarray, centres: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The labels, but for values that stand nearer to another centre: one that was empty may be moved in the last round."""
    nearest = np.searchsorted((centres[1:] + centres[:-1]) / 2, values)
    nearer = np.abs(values - centres[labels]) - np.abs(values - centres[nearest])
    return np.where(nearer > ROUNDING, nearest, labels)


def bits_by_layer(network: Network, bits: Mapping[str, int]) -> dict[str, int]:
    """Bits by name of a convolution or linear layer, from bits by pattern, of which the first that fits counts.

    A layer that none fits is not in it. Raises ValueError for a pattern that fits no layer.
    """
    layers = weights(network)
    unused = [pattern for pattern in bits if not any(fnmatchcase(name, pattern) for name in layers)]
    if unused:
        msg = f"{', '.join(unused)} fits no layer of {network.architecture.name}; it has: {', '.join(layers)}"
        raise ValueError(msg)
    found = {name: [number for pattern, number in bits.items() if fnmatchcase(name, pattern)] for name in layers}
    return {name: numbers[0] for name, numbers in found.items() if numbers}


@torch.no_grad()
def share_(
    network: Network, bits: Mapping[str, int], watched: Callable[[Iterable[str]], Iterable[str]] = iter
) -> dict[str, Tensor]:
    """Share the weights of layers in place, as `bits_by_layer` says. Returns labels by layer.

    watched: draws progress over the names of the layers. One thread, whatever the machine has: k-means on several adds up
    in another order each time. Raises ValueError for weights that are no finite numbers.
    """
    wanted, layers = bits_by_layer(network, bits), weights(network)
    broken = [name for name, weight in layers.items() if not weight.isfinite().all()]
    if broken:
        msg = f"{network.architecture.name} has weights that are no finite numbers in {', '.join(broken)}; train it again"
        raise ValueError(msg)
    found = {}
    with threadpool_limits(1, "openmp"):
        for name in watched(wanted):
            weight = layers[name]
            centroids, labels = (tensor.to(weight.device) for tensor in share(weight, wanted[name]))
            values = torch.cat([centroids, centroids.new_zeros(1)]).to(weight.dtype)
            weight.copy_(values[labels])  # ZERO picks the last
            found[name] = labels
    return found


def sum_gradients(network: Network, labels: Labels) -> None:
    """From now on every backward pass gives all weights of a cluster the sum of their gradients, and zeros none."""
    layers = weights(network)
    for name, own in labels.items():
        layers[name].register_hook(_Summed(own))


class _Summed:
    def __init__(self, labels: Tensor) -> None:
        self.places = labels.flatten() + 1  # zeros first
        self.count = int(self.places.max()) + 1

    def __call__(self, gradient: Tensor) -> Tensor:
        sums = gradient.new_zeros(self.count).index_add_(0, self.places, gradient.flatten())
        sums[0] = 0.0
        return sums[self.places].view(gradient.shape)
