"""What looks at a tiny world, whose pictures are those of the tests of the recognizer."""

import pytest
import torch

from clipnerf.config.generator import FieldConfig, GeneratorConfig
from clipnerf.gan.generator import Generator
from clipnerf.vision.feature_network import FeatureNetwork
from tests.vision.conftest import COLORS, recognizer, shapes, world  # noqa: F401


@pytest.fixture(scope="session")
def generator() -> Generator:
    """Tiny and untrained, but neither empty nor constant."""
    torch.manual_seed(3)
    field = FieldConfig(
        code_dim=8,
        style_dim=8,
        levels=2,
        log2_rows=8,
        finest_resolution=16,
        deform_width=8,
        density_width=8,
        color_width=8,
        density_bias=0.0,
    )
    generator = Generator(GeneratorConfig(field=field, samples=6, render_samples=8))
    for parameter in generator.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.3)
    return generator.requires_grad_(False).eval()


@pytest.fixture(scope="session")
def judge() -> FeatureNetwork:
    """The network that measures, with random weights; it sees 32 pixels, to be quick."""
    torch.manual_seed(0)
    network = FeatureNetwork("tf_efficientnet_lite2", "random")
    network.size = 32
    return network


class FakeClip:
    """Encodes a picture as its mean colors in four quarters, and the words 'red' and so on."""

    name, hash = "quarters", "0" * 16

    def encode_image(self, pictures: torch.Tensor) -> torch.Tensor:
        features = torch.nn.functional.adaptive_avg_pool2d(1 - pictures, 2).flatten(1) + 1e-3
        return torch.nn.functional.normalize(features, dim=1)

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        pictures = [torch.tensor(COLORS[text]) / 255 for text in texts]
        return self.encode_image(torch.stack(pictures)[:, :, None, None].expand(-1, -1, 4, 4))


@pytest.fixture()
def clip() -> FakeClip:
    return FakeClip()
