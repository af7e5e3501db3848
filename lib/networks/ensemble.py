"""Several networks that answer together."""

import torch
from torch import Tensor, nn

from lib.networks.network import Network


class Ensemble(nn.Module):
    """Several networks; their logits are averaged. There is nothing else that they have in common."""

    def __init__(self, members: list[Network]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.name = f"the ensemble of {', '.join(network.architecture.name for network in members)}"

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, num_classes)."""
        logits = torch.stack([member(images) for member in self.members])
        return logits.to(torch.promote_types(logits.dtype, torch.float32)).mean(0)
