"""A first guess for a mapper: where the codes of objects lie that CLIP already calls by a prompt.

Gradients alone can lead a prompt into a dead end (a compact CLIP's slope from black to green went
by way of magenta, and stayed there). The mean code of the sampled objects whose pictures are
nearest to a prompt is a direction that the generator itself vouches for.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from clipnerf.gan.codes import Codes
from clipnerf.mappers.objective import Objective
from clipnerf.mappers.paper import Mapper
from clipnerf.training.seeds import torch_generator

TEMPERATURE = 0.03
"""Of the softmax over prompts, in units of cosine."""
LENGTH = 4.0
"""Norm of the first guess: a code's own is about 11, and half of that already changes an object."""
FIT_STEPS = 300
_BATCH = 16


@torch.no_grad()
def mean_codes(objective: Objective, objects: int, seed: int) -> Float[Tensor, "prompts code"]:
    """For each prompt of the mapper's group, the direction of the mean code, of norm LENGTH."""
    config, prompts = objective.config, objective.prompts.own
    codes, shares = [], []
    for start in range(0, objects, _BATCH):
        rng = torch_generator(seed, 0, start, "warm start")
        some = Codes.sample(_BATCH, objective.generator.config.field.code_dim, rng)
        some = some.to(objective.device)
        camera = objective.generator.sample_cameras(_BATCH, config.size, rng)
        picture = objective.clip.encode_image(objective.render(some, camera).rgb)
        shares.append((picture @ prompts.T / TEMPERATURE).softmax(1))
        codes.append(getattr(some, config.which))
    share, code = torch.cat(shares), torch.cat(codes)
    # against the mean of all, which a finite sample does not have at zero
    weight = share / share.sum(0) - 1 / len(share)
    return LENGTH * functional.normalize(weight.T @ code, dim=1)


def warm_start(mapper: Mapper, objective: Objective, objects: int, seed: int) -> None:
    """Fits the mapper to :func:`mean_codes`, and to no change for the other group's prompts."""
    wanted = mean_codes(objective, objects, seed)
    foreign = objective.prompts.foreign if objective.config.loss.foreign > 0 else wanted[:0, :0]
    embeddings = objective.prompts.own
    if len(foreign):
        embeddings = torch.cat((embeddings, foreign))
        wanted = torch.cat((wanted, wanted.new_zeros(len(foreign), wanted.shape[1])))
    optimizer = torch.optim.Adam(mapper.parameters(), lr=1e-3)
    for _ in range(FIT_STEPS):
        optimizer.zero_grad()
        functional.mse_loss(mapper(embeddings, wanted), wanted).backward()
        optimizer.step()
