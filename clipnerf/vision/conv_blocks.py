"""Blocks of the small convolutional networks that look at pictures: recognizer and encoder."""

from jaxtyping import Float
from torch import Tensor, nn


def convolution(old: int, new: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, normalization, ReLU."""
    padding = 1 if kernel > 2 else 0
    return nn.Sequential(
        nn.Conv2d(old, new, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(new),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """x plus two convolutions of x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(convolution(width, width, 3), convolution(width, width, 3))

    def forward(
        self, x: Float[Tensor, "batch width rows cols"]
    ) -> Float[Tensor, "batch width rows cols"]:
        return x + self.body(x)
