"""What stands between layers of a compact network where their channels differ."""

from torch import Tensor, nn


class Gather(nn.Module):
    """Channels of a tensor at given positions, in a given order; position C stands for a channel of zeros."""

    index: Tensor

    def __init__(self, axis: int, index: Tensor, width: int) -> None:
        super().__init__()
        self.axis = axis
        self.zeros = bool((index == width).any())
        self.register_buffer("index", index, persistent=False)  # it follows from the kept filters: no file holds it

    def forward(self, x: Tensor) -> Tensor:
        """(..., C, ...) -> (..., len(index), ...)."""
        if self.zeros:
            x = nn.functional.pad(x, (0, 0) * (x.dim() - 1 - self.axis) + (0, 1))
        return x.index_select(self.axis, self.index)


class Place(nn.Module):
    """Add a tensor into a wider one at given channels; neither is changed."""

    index: Tensor

    def __init__(self, axis: int, index: Tensor) -> None:
        super().__init__()
        self.axis = axis
        self.register_buffer("index", index, persistent=False)

    def forward(self, stream: Tensor, x: Tensor) -> Tensor:
        """(..., C, ...) and (..., len(index), ...) -> (..., C, ...)."""
        return stream.index_add(self.axis, self.index, x.to(stream.dtype))


class Zeros(nn.Module):
    """A tensor of the network of which no channel is left: zeros. shape: for one image."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, images: Tensor) -> Tensor:
        """(B, ...) -> (B shape[0], ...)."""
        return images.new_zeros((images.shape[0] * self.shape[0], *self.shape[1:]))


class Point(nn.Module):
    """Where a network can be seen: passes on what it is given, and knows where that stands in the dense network."""

    index: Tensor

    def __init__(self, axis: int | None, index: Tensor, width: int) -> None:
        super().__init__()
        self.axis, self.width = axis, width
        self.register_buffer("index", index, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., c, ...) -> the same."""
        return x

    def whole(self, x: Tensor) -> Tensor:
        """(..., c, ...) -> (..., C, ...) as the dense network has it, zeros where it has nothing here."""
        if self.axis is None or len(self.index) == self.width:
            return x
        sizes = (*x.shape[: self.axis], self.width, *x.shape[self.axis + 1 :])
        return x.new_zeros(sizes).index_copy(self.axis, self.index, x)


class Mode(nn.Module):
    """Whether the network is in training mode, for functions that must be told."""

    def forward(self) -> bool:
        """True in training mode."""
        return self.training
