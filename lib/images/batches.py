"""Images in memory as uint8 -> augmented, normalised mini-batches of any size, without per-image Python."""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from lib.params.section import section


@section
class Augmentation:
    """flip: mirror half of the images. crop_padding: shift by up to so many pixels in both directions, zeros coming in."""

    flip: bool
    crop_padding: Annotated[int, Field(ge=0, le=64)]


class Share(NamedTuple):
    """What is one process's of several: each takes one in so many."""

    process: int
    processes: int


WHOLE = Share(0, 1)


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
        self.size = images.shape[2:]
        self.augmentation = augmentation
        padding = augmentation.crop_padding
        padded = functional.pad(images, (padding,) * 4)
        self.images = padded.permute(0, 2, 3, 1).contiguous().to(device)
        self.labels = labels.to(device)
        self.mean = torch.tensor(mean, device=device) * 255
        self.scale = 1 / (torch.tensor(std, device=device) * 255)
        self.device = device

    def __len__(self) -> int:
        """The number of images."""
        return len(self.labels)

    def epoch(self, sizes: Sequence[int], generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass in random order, augmented: (images (B, C, H, W), labels (B,)) for each B of `sizes`."""
        for _, images, labels in self.numbered(sizes, generator):
            yield images, labels

    def numbered(
        self, sizes: Sequence[int], generator: torch.Generator, first: int = 0, share: Share = WHOLE
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The same with the images' places in the split before them, (B,) on the CPU; from mini-batch `first` on.

        share: of every mini-batch a process takes these images (b, C, H, W) alone; places and labels are of all its images.
        """
        order = torch.randperm(len(self), generator=generator)
        drawn = self._draw(generator)
        for whole in order[: sum(sizes)].split(list(sizes))[first:]:
            index = whole[share.process :: share.processes]
            images, _ = self._take(index, *(draw[index] for draw in drawn))
            yield whole, images, self.labels[whole.to(self.device)]

    def plain(self, size: int, share: Share = WHOLE) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in order, without augmentation; share: of the mini-batches a process takes these alone."""
        padding = self.augmentation.crop_padding
        for start in range(share.process * size, len(self), share.processes * size):
            index = torch.arange(start, min(start + size, len(self)))
            still = torch.zeros(len(index), dtype=torch.long)
            yield self._take(index, still + padding, still + padding, still)

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Top and left corner of every image's crop, and whether it is mirrored; drawn on the CPU, (N,) each."""
        shifts = torch.randint(0, 2 * self.augmentation.crop_padding + 1, (2, len(self)), generator=generator)
        mirrored = torch.randint(0, 2, (len(self),), generator=generator) * int(self.augmentation.flip)
        return shifts[0], shifts[1], mirrored

    def _take(self, index: Tensor, top: Tensor, left: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        height, width = self.size
        index, top, left, mirrored = (t.to(self.device, non_blocking=True) for t in (index, top, left, mirrored))
        rows = top[:, None] + torch.arange(height, device=self.device)  # (B, H)
        across = torch.arange(width, device=self.device)
        columns = left[:, None] + torch.where(mirrored[:, None] == 1, width - 1 - across, across)  # (B, W)
        pixels = self.images[index[:, None, None], rows[:, :, None], columns[:, None, :]]  # (B, H, W, C)
        return ((pixels.float() - self.mean) * self.scale).permute(0, 3, 1, 2), self.labels[index]


Sample = Callable[[int, int], Iterator[tuple[Tensor, Tensor]]]


STILL = Augmentation(flip=False, crop_padding=0)
