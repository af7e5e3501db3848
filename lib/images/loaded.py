"""Images one at a time, by several processes -> augmented, normalised mini-batches, the same whatever their number."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from lib.images.augmentation import Augmentation
from lib.images.batches import Batches, Drawn
from lib.images.files import Files
from lib.images.loading import made
from lib.images.views import Draw, Frame, Views
from lib.randomness import number


class LoadedBatches(Batches):
    """A split whose images are read, decoded and changed when they are needed; otherwise as `Batches`, and the same bits
    where both can be.
    """

    def __init__(
        self,
        images: Files | Tensor,
        labels: Tensor,
        mean: Sequence[float],
        std: Sequence[float],
        augmentation: Augmentation,
        device: torch.device,
        frame: Frame,
        size: tuple[int, int],
        workers: int,
    ) -> None:
        """images: (N, C, H, W) uint8, or files of them. labels: (N,) int64. size: height and width of what networks see.

        workers: processes that read images; 0: this one.
        """
        self._describe(labels, mean, std, augmentation, device)
        self.size = size
        self.source, self.workers = images, workers
        self.views = Views(frame, augmentation)

    def _draw(self, generator: torch.Generator, number: int) -> Drawn:
        drawn = super()._draw(generator, number)
        return drawn._replace(number=int(torch.randint(0, 2**62, (1,), generator=generator)))

    def _taken(self, indices: Sequence[Tensor], drawn: Drawn) -> Iterator[Tensor]:
        work = _Reading(self.source, self.views, drawn)
        for pixels in made(work, [index.numpy() for index in indices], self.workers, pin=self.device.type == "cuda"):
            if isinstance(pixels, str):
                raise ValueError(pixels)
            yield self._normalised(pixels.to(self.device, non_blocking=True))


class _Reading:
    """Makes a mini-batch (B, H, W, C) uint8 of (B,) places in a split; where it cannot, a message."""

    def __init__(self, images: Files | Tensor, views: Views, drawn: Drawn) -> None:
        self.images, self.views, self.drawn = images, views, drawn

    def __getitem__(self, places: Any) -> Tensor | str:
        try:
            seen = [self._one(place).permute(1, 2, 0) for place in places.tolist()]
        except ValueError as error:
            return str(error)
        return torch.stack(seen).contiguous()

    def _one(self, place: int) -> Tensor:
        drawn, image = self.drawn, self.images[place]
        if drawn.number is None:
            return self.views.still(image)
        corner = int(drawn.top[place]), int(drawn.left[place])
        return self.views.drawn(image, Draw(*corner, int(drawn.mirrored[place]), number(drawn.number, place)))
