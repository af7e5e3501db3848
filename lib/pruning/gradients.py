"""The gradient of the loss by the filters, over many training images in mini-batches that fit into memory."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from lib.networks.batch_norms import normalise_by_batch_
from lib.networks.network import Network


def gradients(network: Network, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Gradient of the mean cross entropy over all images (B, C, H, W) with labels (B,), by convolution, (C_out, C_in, kH, kW).

    Frozen filters have a gradient too; it is zero where none arrives. Batch norms normalise by the statistics of each
    mini-batch, as in training; everything the network holds is as before afterwards. Dropout is off.
    """
    training = network.training
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    filters = network.filters()
    frozen = [weight for weight in filters.values() if not weight.requires_grad]
    for weight in frozen:
        weight.requires_grad = True
    total = {name: torch.zeros_like(weight) for name, weight in filters.items()}
    seen = 0
    normalise_by_batch_(network)
    for images, labels in batches:
        loss = functional.cross_entropy(network(images.to(next(iter(total.values())).dtype)), labels, reduction="sum")
        found = torch.autograd.grad(loss, list(filters.values()), allow_unused=True, materialize_grads=True)
        for name, gradient in zip(filters, found, strict=True):
            total[name] += gradient
        seen += len(labels)
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
    network.train(training)
    for weight in frozen:
        weight.requires_grad = False
    if not seen:
        msg = "gradients need at least one image; set the method's `samples` above 0"
        raise ValueError(msg)
    return {name: gradient / seen for name, gradient in total.items()}
