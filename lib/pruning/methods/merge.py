"""Merge the most similar filters instead of dropping the weakest; what reads them is compensated. Once, then held.

Reference: zhl95/pruing-framework, mode merge (cb535ec); no paper. Related: Srinivas, Babu, "Data-free Parameter Pruning for
Deep Neural Networks", BMVC 2015, https://arxiv.org/abs/1507.06149 (the compensation)

The two filters of largest cosine similarity of which neither was merged yet are merged, until half are gone; then anew among
those left. Of a pair the stronger one stays: big <- fuse big + (1 - fuse) small, at the norm it had.
Departs: the inputs of the next layer follow (compensate): where filter j goes into i, a single convolution or the classifier
reads them and their batch-norm scales (1 where it has none) have one sign, W[:, i] += gamma_j / gamma_i W[:, j]; without a
batch norm the filters' norms stand for the scales. It is exact when j is a positive multiple of i, bias or batch norm
included. The reference leaves the next layer as it is (compensate: false), has a type error on the way, and merges only half
of a layer at most. A residual stream's channels are merged but not compensated: what reads them reads the sum of many filters.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.masks.filters import Masks
from lib.masks.kept import Kept
from lib.networks.network import Network
from lib.params.bounds import Share
from lib.params.section import section
from lib.pruning.held import held
from lib.pruning.method import Common, Method, Request

TINY = 1e-12


@section
class MergeSettings(Common):
    """fuse: share of the stronger filter in a merged pair, in (0, 1]. compensate: adapt what reads the merged filters."""

    fuse: Share
    compensate: bool


def method(network: Network, params: MergeSettings, request: Request) -> Method:
    """One-shot merging by similarity; changes the network's weights."""
    filters = network.filters()
    orders = {name: order(weight.detach()) for name, weight in filters.items()}
    # Over the width, so that a layer's place in a ranking of all layers does not depend on how wide it is.
    scores = {name: ranks.to(filters[name].device) / len(ranks) for name, (ranks, _) in orders.items()}
    masks = request.selection(network).choose(scores)
    merge_(network, masks, {name: partners for name, (_, partners) in orders.items()}, scores, params)
    return held(network, Kept(masks))


@torch.no_grad()
def order(weight: Tensor) -> tuple[Tensor, list[int]]:
    """When each filter of (C_out, C_in, kH, kW) is merged away, 0 for first, and into which one; the last into itself."""
    unit = functional.normalize(weight.flatten(1), dim=1).cpu()
    strength = weight.flatten(1).norm(dim=1).cpu()
    count = len(weight)
    similarity = (unit @ unit.T).masked_fill(torch.ones(count, count).tril().bool(), -2.0)
    pairs = [divmod(index, count) for index in similarity.flatten().argsort(descending=True, stable=True).tolist()]
    pairs = [(a, b) for a, b in pairs if a < b]
    partners, gone, left = list(range(count)), [], set(range(count))
    while len(left) > 1:
        free = set(left)  # of this round: neither merged away nor merged into
        for a, b in pairs:
            if a in free and b in free:
                big, small = (a, b) if strength[a] >= strength[b] else (b, a)
                partners[small] = big
                gone.append(small)
                free -= {a, b}
                left.discard(small)
        pairs = [(a, b) for a, b in pairs if a in left and b in left]
    ranks = torch.empty(count)
    ranks[gone + list(left)] = torch.arange(float(count))
    return ranks, partners


@torch.no_grad()
def merge_(
    network: Network, masks: Masks, partners: dict[str, list[int]], ranks: dict[str, Tensor], params: MergeSettings
) -> None:
    """Merge every dropped filter into its partner, in the order they go, so that what was merged moves on with its partner."""
    for layer in network.layers:
        weight, batch_norm = network.weight(layer.name), network.batch_norm(layer)
        scale = _outputs(weight, batch_norm)
        readers = _readers(network, layer.name) if params.compensate else []
        dropped = [index for index in ranks[layer.name].argsort().tolist() if not masks[layer.name][index]]
        for small in dropped:
            big = partners[layer.name][small]
            if big == small:  # the last filter of a layer that a shared mask dropped
                continue
            length = weight[big].norm()
            weight[big] = params.fuse * weight[big] + (1.0 - params.fuse) * weight[small]
            weight[big] *= length / weight[big].norm().clamp_min(TINY)  # so that its batch norm still fits
            if float(scale[small] * scale[big]) > 0.0:
                for reader in readers:
                    reader[:, big] += scale[small] / scale[big] * reader[:, small]


def _outputs(weight: Tensor, batch_norm: nn.BatchNorm2d | None) -> Tensor:
    """How large a filter's output is beside that of a parallel one, with the sign of its batch norm, (C_out,)."""
    if batch_norm is None:
        return torch.linalg.vector_norm(weight.flatten(1), dim=1)  # type: ignore[no-any-return]
    return torch.ones(len(weight)) if batch_norm.weight is None else batch_norm.weight


def _readers(network: Network, name: str) -> list[Tensor]:
    """The weights whose input channels are the filters of a layer, in their order: (C_out, C_in, ...); none for a stream."""
    return [network.weight(reader) for reader in network.description.readers(name)]
