"""VGG for 32x32 images, with and without batch norm.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, table 1,
https://arxiv.org/abs/1409.1556
Reference: favorxin/AHSG-HT-pruning-with-KD, models/vgg.py (512-512-classes head, convolutions with bias); vgg16_kdfs after
Osilly/KDFS, model/student/vgg_bn.py (no fifth max-pooling, and a head of two layers with a batch norm between them).
Departs: what is left after the five poolings is averaged to 1x1, so larger images work too.
"""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

STAGES = {  # convolutions in each of the five stages
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
WIDTHS = (64, 128, 256, 512, 512)
HEAD_WIDTH = 512


class VGG(nn.Module):
    """conv-bn-ReLU chains between five 2x2 max-poolings, then a classifier: three layers with dropout, or two without."""

    linear_std = 0.01

    def __init__(
        self, stages: tuple[int, ...], num_classes: int, in_channels: int, *, batch_norm: bool = True, dropout: bool = True
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, count in zip(WIDTHS, stages, strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(in_channels, width, 3, padding=1), *([nn.BatchNorm2d(width)] * batch_norm), nn.ReLU()]
                in_channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*(layers if dropout else layers[:-1]))
        inside: list[nn.Module] = [nn.Linear(in_channels, HEAD_WIDTH), nn.ReLU(), nn.Dropout()]
        inside += [nn.Linear(HEAD_WIDTH, HEAD_WIDTH), nn.ReLU(), nn.Dropout()]
        if not dropout:
            inside = [nn.Linear(in_channels, HEAD_WIDTH), nn.BatchNorm1d(HEAD_WIDTH), nn.ReLU()]
        self.classifier = nn.Sequential(*inside, nn.Linear(HEAD_WIDTH, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) of at least 32x32 -> logits (B, num_classes). Raises ValueError for smaller ones."""
        if min(images.shape[2:]) < 2 ** len(WIDTHS):
            msg = f"vgg needs images of at least 32x32, got {tuple(images.shape[2:])}; use a resnet for small images"
            raise ValueError(msg)
        pooled = functional.adaptive_avg_pool2d(self.features(images), 1).flatten(1)
        logits: Tensor = self.classifier(pooled)
        return logits


BUILDERS: Mapping[str, Callable[..., VGG]] = {
    **{name: partial(VGG, stages) for name, stages in STAGES.items()},
    **{f"{name}_plain": partial(VGG, stages, batch_norm=False) for name, stages in STAGES.items()},
    "vgg16_kdfs": partial(VGG, STAGES["vgg16"], dropout=False),
}
