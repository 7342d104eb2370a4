"""A stand-in with tinycudann's face: an Encoding whose parameters, dtypes and padding are as there.

It says what it was called with, and refuses what the real one cannot take.
"""

import torch
from torch import Tensor, nn

from clipnerf.fields.backends.torch import naive_hash_grid
from clipnerf.fields.layout import GridLayout

GRANULARITY = 256


class _InHalf(torch.autograd.Function):
    """Values and gradients rounded to float16 where the real kernels round."""

    @staticmethod
    def forward(ctx, x: Tensor, params: Tensor, layout: GridLayout, loss_scale: float) -> Tensor:
        ctx.save_for_backward(x, params)
        ctx.layout, ctx.loss_scale = layout, loss_scale
        table = params.float().view(-1, layout.features)
        return naive_hash_grid(x, table, layout).to(params.dtype)

    @staticmethod
    def backward(ctx, upstream: Tensor):
        x, params = ctx.saved_tensors
        assert upstream.dtype == params.dtype
        Encoding.largest_upstream = float(upstream.abs().max())
        upstream = upstream * ctx.loss_scale
        with torch.enable_grad():
            leaf, table = x.detach().requires_grad_(), params.detach().float().requires_grad_()
            out = naive_hash_grid(leaf, table.view(-1, ctx.layout.features), ctx.layout)
            x_grad, grad = torch.autograd.grad(out, (leaf, table), upstream.float())
        return x_grad / ctx.loss_scale, grad.to(params.dtype) / ctx.loss_scale, None, None


class Encoding(nn.Module):
    """tinycudann.Encoding, of type HashGrid."""

    calls: list[tuple[int, torch.dtype]] = []
    largest_upstream = 0.0

    def __init__(self, n_input_dims: int, encoding_config: dict, seed=1337, dtype=None) -> None:
        super().__init__()
        config = dict(encoding_config)
        assert config.pop("otype") == "HashGrid" and config.pop("interpolation") == "Linear"
        levels, base = config["n_levels"], config["base_resolution"]
        finest = round(base * config["per_level_scale"] ** (levels - 1))
        self.layout = GridLayout(
            n_input_dims,
            levels,
            config["n_features_per_level"],
            config["log2_hashmap_size"],
            base,
            finest,
        )
        self.n_output_dims = self.layout.out_features
        self.dtype = dtype or torch.half
        count = self.layout.total_rows * self.layout.features
        self.params = nn.Parameter(torch.zeros(count))
        self.loss_scale = 128.0

    def forward(self, x: Tensor) -> Tensor:
        count = len(x)
        assert count > 0 and x.dtype == torch.float32 and x.is_contiguous()
        assert float(x.detach().min()) >= 0 and float(x.detach().max()) <= 1
        padded = -(-count // GRANULARITY) * GRANULARITY
        x = torch.nn.functional.pad(x, [0, 0, 0, padded - count])
        Encoding.calls.append((padded, self.params.dtype))
        params = self.params.to(self.dtype).contiguous()
        return _InHalf.apply(x, params, self.layout, self.loss_scale)[:count]
