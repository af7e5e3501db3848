"""How training images are changed at random: the settings."""

from typing import Annotated, Literal

from pydantic import Field

from lib.params.section import section

Ratio = Annotated[float, Field(gt=0.0, le=100.0)]
Change = Annotated[float, Field(ge=0.0, le=10.0)]
Flip = Literal["none", "random", "alternating"]


@section
class ResizedCrop:
    """scale: least and most share of an image's area that a crop has. ratio: its width over its height, least and most."""

    scale: tuple[Annotated[float, Field(gt=0.0, le=1.0)], Annotated[float, Field(gt=0.0, le=1.0)]]
    ratio: tuple[Ratio, Ratio]

    def __post_init__(self) -> None:
        """The least comes first."""
        for name, (least, most) in (("scale", self.scale), ("ratio", self.ratio)):
            if least > most:
                msg = f"{name} is [{least}, {most}], whose first number is the larger one; exchange them"
                raise ValueError(msg)


@section
class Jitter:
    """brightness, contrast, saturation: times a number from 1 - x to 1 + x, at least 0. hue: turned by up to so many turns."""

    brightness: Change
    contrast: Change
    saturation: Change
    hue: Annotated[float, Field(ge=0.0, le=0.5)]


@section
class Augmentation:
    """flip: mirror images: random half of them each epoch, or alternating: half of them in the first epoch, the others in the
    second, and so on (Keller Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", https://arxiv.org/abs/2404.00498).

    crop_padding: shift by up to so many pixels in both directions, zeros coming in. resized_crop: a random part
    of the image, scaled to the square of data.crop; or null. jitter: change colours at random; or null.
    """

    flip: Flip
    crop_padding: Annotated[int, Field(ge=0, le=64)]
    resized_crop: ResizedCrop | None
    jitter: Jitter | None

    @property
    def changes(self) -> bool:
        """Whether an image looks different each time."""
        return bool(self.flip != "none" or self.crop_padding or self.resized_crop or self.jitter)

    @property
    def one_by_one(self) -> bool:
        """Whether it needs more than moving pixels, which is done for whole mini-batches."""
        return self.resized_crop is not None or self.jitter is not None

    def problems(self, crop: int | None) -> list[str]:
        """What does not fit data.crop, with the cure; nothing where all does."""
        if crop is None and self.resized_crop is not None:
            return [
                "augmentation.resized_crop: scales to the square of data.crop, which is null; give a crop, or set it to null"
            ]
        if crop is not None and self.crop_padding:
            msg = f"augmentation.crop_padding: is {self.crop_padding}, and data.crop cuts images already; set it to 0 and use "
            return [msg + "resized_crop, or set data.crop to null"]
        return []


STILL = Augmentation(flip="none", crop_padding=0, resized_crop=None, jitter=None)
