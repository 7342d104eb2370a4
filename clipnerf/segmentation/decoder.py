"""CRIS's vision-language decoder: pixels look at one another and at the words.

    F'_v = MHSA(LN(F_v)) + F_v
    F'_c = MHCA(LN(F'_v), F_t) + F'_v
    F_c  = MLP(LN(F'_c)) + F'_c

with sine positions added to queries and keys (of pixels in two dimensions, of words in one).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


def sine_positions(
    places: Float[Tensor, " count"], channels: int
) -> Float[Tensor, "count channels"]:
    """Sines and cosines of positions, of wavelengths 2 pi to 20,000 pi (Vaswani et al. 2017)."""
    rates = torch.exp(
        torch.arange(0, channels, 2, device=places.device) * (-math.log(10000.0) / channels)
    )
    angles = places[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)[:, :channels]


def pixel_positions(
    height: int, width: int, channels: int, device: torch.device
) -> Float[Tensor, "1 pixels channels"]:
    """Half of the channels say y, half x."""
    y = sine_positions(torch.arange(height, device=device).float(), channels // 2)
    x = sine_positions(torch.arange(width, device=device).float(), channels // 2)
    both = torch.cat((y[:, None].expand(-1, width, -1), x[None].expand(height, -1, -1)), dim=-1)
    return both.reshape(1, height * width, channels)


class DecoderLayer(nn.Module):
    """One layer; see the head of this module."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.norm_pixels, self.norm_cross = nn.LayerNorm(width), nn.LayerNorm(width)
        self.norm_mlp = nn.LayerNorm(width)
        self.look_around = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.read = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(width, feedforward),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(feedforward, width),
        )

    def forward(
        self,
        pixels: Float[Tensor, "batch pixels width"],
        words: Float[Tensor, "batch tokens width"],
        padding: Bool[Tensor, "batch tokens"],
        at_pixels: Float[Tensor, "1 pixels width"],
        at_words: Float[Tensor, "1 tokens width"],
    ) -> Float[Tensor, "batch pixels width"]:
        """F_c; ``padding`` is True where there is no word."""
        # Asking for the weights takes two matrix products in the place of flash attention, which
        # on a CPU and in bfloat16 is 2 times (pixels) to 7 times (few words) slower.
        plain = pixels.device.type == "cpu"
        x = self.norm_pixels(pixels)
        placed = x + at_pixels
        pixels = pixels + self.look_around(placed, placed, x, need_weights=plain)[0]
        x = self.norm_cross(pixels)
        read, _ = self.read(
            x + at_pixels, words + at_words, words, key_padding_mask=padding, need_weights=plain
        )
        pixels = pixels + read
        return pixels + self.mlp(self.norm_mlp(pixels))


class Decoder(nn.Module):
    """n layers over F_v and F_t.

    Args:
        word_channels: of F_t.
    """

    def __init__(
        self,
        layers: int,
        width: int,
        word_channels: int,
        heads: int,
        feedforward: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.word = nn.Linear(word_channels, width)
        self.layers = nn.ModuleList(
            DecoderLayer(width, heads, feedforward, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        features: Float[Tensor, "batch features height width"],
        words: Float[Tensor, "batch tokens channels"],
        padding: Bool[Tensor, "batch tokens"],
    ) -> Float[Tensor, "batch features height width"]:
        """F_c, as a map."""
        height, width = features.shape[-2:]
        pixels = features.flatten(2).mT
        words = self.word(words)
        channels = pixels.shape[-1]
        at_pixels = pixel_positions(height, width, channels, pixels.device)
        steps = torch.arange(words.shape[1], device=words.device).float()
        at_words = sine_positions(steps, channels)[None]
        for layer in self.layers:
            pixels = layer(pixels, words, padding, at_pixels, at_words)
        return self.norm(pixels).mT.unflatten(2, (height, width))
