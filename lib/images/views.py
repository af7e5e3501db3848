"""What networks see of an image: a square cut out of it, moved, mirrored, its colours changed; one image at a time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lib.images.augmentation import Augmentation
from lib.images.resizing import narrowed


class Frame(NamedTuple):
    """crop: side, in pixels, of the square that networks see; None: the whole image. resize: shorter side of the image that
    the middle is cut out of; None: as the crop.
    """

    crop: int | None
    resize: int | None


UNCUT = Frame(None, None)


class Draw(NamedTuple):
    """What was drawn for an image: the corner of its crop in the padded image, whether it is mirrored, a seed for the rest."""

    top: int
    left: int
    mirrored: int
    seed: int


class Views:
    """Images (C, H, W) uint8 -> views of them (C, H', W') uint8, by torchvision.transforms.v2."""

    def __init__(self, frame: Frame, augmentation: Augmentation) -> None:
        self.frame, self.padding = frame, augmentation.crop_padding
        self.cut: Callable[[Tensor], Tensor] | None = None
        self.colours: Callable[[Tensor], Tensor] | None = None
        if augmentation.resized_crop is None and augmentation.jitter is None:
            return
        from torchvision.transforms import v2  # takes a second

        if (one := augmentation.resized_crop) is not None:
            self.cut = v2.RandomResizedCrop(frame.crop, one.scale, one.ratio)
        if (other := augmentation.jitter) is not None:
            self.colours = v2.ColorJitter(other.brightness, other.contrast, other.saturation, other.hue)

    def still(self, image: Tensor) -> Tensor:
        """The view without augmentation."""
        crop, resize = self.frame
        return image if crop is None else middle(image, crop, resize or crop)

    def drawn(self, image: Tensor, draw: Draw) -> Tensor:
        """The view in training."""
        if self.cut is None and self.colours is None:
            return self._placed(image, draw)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(draw.seed)  # torch.manual_seed would change a GPU's stream too
            seen = self._placed(image, draw) if self.cut is None else _mirrored(self.cut(image), draw)
            return seen if self.colours is None else self.colours(seen)

    def _placed(self, image: Tensor, draw: Draw) -> Tensor:
        if self.frame.crop is not None:
            return _mirrored(self.still(image), draw)
        height, width = image.shape[1:]
        padded = functional.pad(image, (self.padding,) * 4)
        return _mirrored(padded[:, draw.top : draw.top + height, draw.left : draw.left + width], draw)


def middle(image: Tensor, crop: int, resize: int) -> Tensor:
    """(C, H, W) uint8 -> (C, crop, crop) uint8, cut out of the image whose shorter side was scaled to `resize`."""
    from torchvision.transforms.v2 import functional as transforms

    scaled: Any = transforms.resize(narrowed(image), [resize])
    cut: Tensor = transforms.center_crop(scaled, [crop])
    return cut


def _mirrored(image: Tensor, draw: Draw) -> Tensor:
    return image.flip(2) if draw.mirrored else image
