"""The contrastive loss of a compact CLIP's training."""

import open_clip
import torch
from jaxtyping import Float, Int
from torch import Tensor


class CaptionLoss(open_clip.ClipLoss):
    """open_clip's contrastive loss, in which equal captions share the target.

    Captions of one domain repeat: "a red chair" of another picture is no wrong answer. Where all
    captions differ, this is open_clip's loss to the bit. Pictures and texts are of the whole batch:
    under torchrun the trainer gathers them first.
    """

    def forward(  # type: ignore[override]
        self,
        image_features: Float[Tensor, "batch embedding"],
        text_features: Float[Tensor, "batch embedding"],
        logit_scale: Float[Tensor, ""],
        captions: Int[Tensor, " batch"],
    ) -> Float[Tensor, ""]:
        """The loss; ``captions`` are numbers that are equal where the captions are."""
        self._captions = captions
        return super().forward(image_features, text_features, logit_scale)

    def get_ground_truth(self, device: torch.device, num_logits: int) -> Tensor:
        """What open_clip's loss compares the logits with: classes, or shares of classes."""
        equal = self._captions[:, None] == self._captions[None, :]
        if int(equal.sum()) == num_logits:
            return super().get_ground_truth(device, num_logits)
        return equal.float() / equal.sum(1, keepdim=True)
