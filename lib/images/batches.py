"""Images in memory as uint8 -> augmented, normalised mini-batches of any size, without per-image Python."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lib.images.augmentation import Augmentation
from lib.randomness import stream


class Share(NamedTuple):
    """What is one process's of several: each takes one in so many."""

    process: int
    processes: int


WHOLE = Share(0, 1)
PIXELS = 500 * 64 * 64  # of the images that a network takes at once where nothing is trained


class Drawn(NamedTuple):
    """What one pass does with each image of a split, (N,) each: top and left corner of its crop, and whether it is mirrored.

    number: decides what else is drawn, None for nothing.
    """

    top: Tensor
    left: Tensor
    mirrored: Tensor
    number: int | None = None


class Batches:
    """A split on a device, held once as padded (N, H + 2p, W + 2p, C) uint8.

    Batches come in channels_last layout, as float32, normalised by mean and std (per channel, of pixels in 0..1).
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        mean: Sequence[float],
        std: Sequence[float],
        augmentation: Augmentation,
        device: torch.device,
    ) -> None:
        """images: (N, C, H, W) uint8. labels: (N,) int64."""
        self._describe(labels, mean, std, augmentation, device)
        self.size = images.shape[2], images.shape[3]
        padded = functional.pad(images, (augmentation.crop_padding,) * 4)
        self.images = padded.permute(0, 2, 3, 1).contiguous().to(device)

    def _describe(
        self, labels: Tensor, mean: Sequence[float], std: Sequence[float], augmentation: Augmentation, device: torch.device
    ) -> None:
        """All but the images."""
        self.augmentation = augmentation
        self.labels = labels.to(device)
        self.mean = torch.tensor(mean, device=device) * 255
        self.scale = 1 / (torch.tensor(std, device=device) * 255)
        self.device = device

    def __len__(self) -> int:
        """The number of images."""
        return len(self.labels)

    def at_once(self, most: int) -> int:
        """So many images that a network can take without training: at most `most`, and fewer of large ones."""
        height, width = self.size
        return max(1, min(most, PIXELS // (height * width)))

    def epoch(self, sizes: Sequence[int], generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass in random order, augmented: (images (B, C, H, W), labels (B,)) for each B of `sizes`."""
        for _, images, labels in self.numbered(sizes, generator):
            yield images, labels

    def numbered(
        self, sizes: Sequence[int], generator: torch.Generator, first: int = 0, share: Share = WHOLE, number: int = 0
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The same with the images' places in the split before them, (B,) on the CPU; from mini-batch `first` on.

        number: of the epoch, from 0, which alternating flips go by. share: of every mini-batch a process takes these images
        (b, C, H, W) alone; places and labels are of all its images.
        """
        order = torch.randperm(len(self), generator=generator)
        drawn = self._draw(generator, number)
        wholes = order[: sum(sizes)].split(list(sizes))[first:]
        indices = [whole[share.process :: share.processes] for whole in wholes]
        for whole, images in zip(wholes, self._taken(indices, drawn), strict=True):
            yield whole, images, self.labels[whole.to(self.device)]

    def plain(self, size: int, share: Share = WHOLE) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in order, without augmentation; share: of the mini-batches a process takes these alone."""
        starts = range(share.process * size, len(self), share.processes * size)
        indices = [torch.arange(start, min(start + size, len(self))) for start in starts]
        for index, images in zip(indices, self._taken(indices, self._still()), strict=True):
            yield images, self.labels[index.to(self.device)]

    def _draw(self, generator: torch.Generator, number: int) -> Drawn:
        """For every image, on the CPU, in epoch `number`."""
        shifts = torch.randint(0, 2 * self.augmentation.crop_padding + 1, (2, len(self)), generator=generator)
        mirrored = torch.randint(0, 2, (len(self),), generator=generator)
        if self.augmentation.flip == "none":
            mirrored.zero_()
        elif self.augmentation.flip == "alternating":
            mirrored = (torch.randint(0, 2, (len(self),), generator=stream(0, "first flip")) + number) % 2
        return Drawn(shifts[0], shifts[1], mirrored)

    def _still(self) -> Drawn:
        none = torch.zeros(len(self), dtype=torch.long)
        return Drawn(none + self.augmentation.crop_padding, none + self.augmentation.crop_padding, none)

    def _taken(self, indices: Sequence[Tensor], drawn: Drawn) -> Iterator[Tensor]:
        """Images (B, C, H, W) for each of some (B,) places in the split."""
        for index in indices:
            yield self._take(index, drawn.top[index], drawn.left[index], drawn.mirrored[index])

    def _take(self, index: Tensor, top: Tensor, left: Tensor, mirrored: Tensor) -> Tensor:
        height, width = self.size
        index, top, left, mirrored = (t.to(self.device, non_blocking=True) for t in (index, top, left, mirrored))
        rows = top[:, None] + torch.arange(height, device=self.device)  # (B, H)
        across = torch.arange(width, device=self.device)
        columns = left[:, None] + torch.where(mirrored[:, None] == 1, width - 1 - across, across)  # (B, W)
        return self._normalised(self.images[index[:, None, None], rows[:, :, None], columns[:, None, :]])

    def _normalised(self, pixels: Tensor) -> Tensor:
        """(B, H, W, C) uint8 -> (B, C, H, W) float32."""
        width = pixels.shape[2]
        rows = pixels.flatten(2).float()  # (B, H, W * C): long rows and no second copy are eight times as fast
        rows.sub_(self.mean.repeat(width)).mul_(self.scale.repeat(width))
        return rows.view(pixels.shape).permute(0, 3, 1, 2)


Sample = Callable[[int, int], Iterator[tuple[Tensor, Tensor]]]
