"""The region field: its fold, its ramp."""

import torch

from clipnerf.fields.region import RegionField, exact_ramp, folded_logits


def test_folded_network_gives_the_products_logits():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        field = RegionField(7, 5, 6, width=8, vector=4)
        features, style, text = torch.randn(3, 11, 7), torch.randn(3, 5), torch.randn(3, 6)
    projected = field.project(text)
    wanted = torch.einsum("bnv,bv->bn", field.vectors(features, style), projected[:, :-1])
    wanted = wanted + projected[:, -1:]
    torch.testing.assert_close(field.logits(features, style, projected), wanted)
    folded = field.fold(style, projected)
    torch.testing.assert_close(folded_logits(features, folded), wanted)
    rows = torch.tensor([2, 0])
    some = tuple(layer.rows(rows) for layer in folded)
    torch.testing.assert_close(folded_logits(features[rows], some), wanted[rows])


def test_style_and_text_both_matter():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        field = RegionField(7, 5, 6, width=8, vector=4)
        features = torch.randn(1, 11, 7).expand(2, -1, -1)
        styles, texts = torch.randn(2, 5), torch.randn(2, 6)
    one = field.logits(features, styles, field.project(texts[:1].expand(2, -1)))
    assert not torch.allclose(one[0], one[1])
    other = field.logits(features, styles[:1].expand(2, -1), field.project(texts))
    assert not torch.allclose(other[0], other[1])


def test_ramp_is_exactly_nothing_below_and_exactly_one_above():
    logits = torch.linspace(-6, 6, 241)
    mask = exact_ramp(logits, 0.5)
    assert bool((mask[logits <= -0.5] == 0).all()) and bool((mask[logits >= 0.5] == 1).all())
    assert bool((mask.diff() >= 0).all()) and abs(float(mask[120]) - 0.5) < 1e-6
    stricter = exact_ramp(logits, 0.9)
    assert bool((stricter <= mask).all()) and float(stricter.sum()) < float(mask.sum()) - 5
    both = exact_ramp(logits.expand(2, -1), torch.tensor([[0.5], [0.9]]))
    assert torch.equal(both, torch.stack((mask, stricter)))
