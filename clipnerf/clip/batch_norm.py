"""Batch normalization over the pictures of all ranks.

CLIP's ResNet normalizes by its batch: with statistics of a rank's own share, two ranks would not
learn what one process learns from the whole batch. PyTorch's SyncBatchNorm does this, for GPUs
only; the class here is its plain twin for the CPU.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clipnerf.training import distributed


class BatchNormOverRanks(nn.BatchNorm2d):
    """``nn.BatchNorm2d`` whose statistics are those of all ranks' pictures; equal shares."""

    def forward(
        self, input: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Normalized pictures; the running statistics move alike on every rank."""
        if not self.training:
            return super().forward(input)
        pixels = input.float()
        mean = distributed.average(pixels.mean((0, 2, 3)))
        centered = pixels - mean[:, None, None]
        variance = distributed.average(centered.square().mean((0, 2, 3)))
        self._remember(mean, variance, input.numel() // input.shape[1] * distributed.world_size())
        factor = self.weight * (variance + self.eps).rsqrt()
        return (centered * factor[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        # Like PyTorch, which remembers the unbiased estimate.
        self.running_var.lerp_(variance * count / max(count - 1, 1), self.momentum)


def normalize_over_ranks(model: nn.Module, device: torch.device) -> nn.Module:
    """``model`` with its layers of batch normalization replaced; parameters and names stay.

    For one rank the model as it is.
    """
    if distributed.world_size() == 1:
        return model
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                layer = BatchNormOverRanks(child.num_features, child.eps, child.momentum)
                layer.train(child.training)
                # The same tensors, so that an optimizer made before goes on with them.
                layer._parameters, layer._buffers = child._parameters, child._buffers
                setattr(module, name, layer)
    return model
