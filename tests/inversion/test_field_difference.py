"""Codes are compared by what they do in the box."""

import torch

from clipnerf.gan.codes import Codes
from clipnerf.inversion.field_difference import field_difference
from tests.tiny_bundle import CODE_DIM, tiny_generator

POINTS = torch.rand(3, 64, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_equal_codes_differ_in_nothing_and_each_code_in_its_own():
    generator = tiny_generator()
    true, other = (Codes.from_seeds(seeds, CODE_DIM) for seeds in ([0, 1, 2], [3, 4, 5]))
    same = field_difference(generator, true, true, POINTS)
    assert float(same[0]) == 0 and float(same[1]) == 0
    colored = field_difference(generator, Codes(true.shape, other.appearance), true, POINTS)
    assert float(colored[0]) == 0 and float(colored[1]) > 1e-3
    shaped = field_difference(generator, Codes(other.shape, true.appearance), true, POINTS)
    assert float(shaped[0]) > 1e-3 and float(shaped[1]) == 0


def test_gradients_reach_both_codes_and_lead_to_the_truth():
    generator = tiny_generator()
    true, guess = (Codes.from_seeds(seeds, CODE_DIM) for seeds in ([0, 1, 2], [3, 4, 5]))
    shape, appearance = guess.shape.requires_grad_(), guess.appearance.requires_grad_()
    optimizer = torch.optim.Adam([shape, appearance], lr=0.2)
    losses = []
    for _ in range(60):
        parts = field_difference(generator, Codes(shape, appearance), true, POINTS)
        losses.append([float(part.detach()) for part in parts])
        optimizer.zero_grad()
        (parts[0] + parts[1]).backward()
        optimizer.step()
    assert losses[-1][0] < 0.75 * losses[0][0] and losses[-1][1] < 0.3 * losses[0][1]
