"""A whole bundle with random weights, small enough to be made in a test."""

from pathlib import Path

import torch

from clipnerf.clip import compact
from clipnerf.clip.model import Clip, build, tokenizer_for
from clipnerf.config.generator import DiscriminatorConfig, FieldConfig, GeneratorConfig
from clipnerf.config.mapper import MapperConfig
from clipnerf.config.segmentation import SegmenterConfig
from clipnerf.fields.region import RegionField
from clipnerf.gan.codes import Codes
from clipnerf.gan.discriminator import Discriminator
from clipnerf.gan.generator import Generator
from clipnerf.inversion.pose import Pose
from clipnerf.inversion.result import KIND as CODES
from clipnerf.io.weights import save_weights
from clipnerf.mappers.paper import Mapper
from clipnerf.mappers.routing import Router
from clipnerf.mappers.universal import WHICH, Universal, UniversalMapper
from clipnerf.mappers.variation import Variation
from clipnerf.segmentation.region_file import save_region
from clipnerf.segmentation.segmenter import Segmenter

KNOWN_WORDS = "a an with without wide narrow high low back armrests chair red orange blue green"
CODE_DIM = 16


def tiny_generator(seed: int = 0, conditioning: str = "disentangled") -> Generator:
    """Neither empty nor full, so that edits of both kinds can be seen."""
    field = FieldConfig(
        conditioning=conditioning,
        code_dim=CODE_DIM,
        style_dim=8,
        levels=3,
        log2_rows=8,
        finest_resolution=16,
        deform_width=8,
        density_width=8,
        color_width=8,
        density_bias=-6.0,
    )
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        generator = Generator(GeneratorConfig(field=field, samples=4, render_samples=6))
        for table in generator.field.grid.parameters():
            table.normal_()
        # Louder than a fresh network, or all objects would look alike.
        for layer in [*generator.field.density_layers, *generator.field.color_layers]:
            layer.weight.mul_(2)
            if layer.film is not None:
                layer.film.weight.mul_(8)
    return generator.eval().requires_grad_(False)


def tiny_discriminator() -> Discriminator:
    """Looks at 8 x 8 pixels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Discriminator(DiscriminatorConfig(patch=8, width=4, max_width=8))


def tiny_clip_file(folder: Path, layers: int = 1) -> Path:
    """A compact CLIP that knows a few words; writes clip.safetensors."""
    model_cfg = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 16,
            "layers": layers,
            "width": 16,
            "patch_size": 8,
            "head_width": 8,
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": compact.VOCABULARY,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    }
    preprocess_cfg = {
        "size": 16,
        "mode": "RGB",
        "mean": [0.5] * 3,
        "std": [0.3] * 3,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "fill_color": 0,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state_dict = build(model_cfg, preprocess_cfg).state_dict()
        tokenizer = tokenizer_for(model_cfg)
        ids = [*tokenizer.encode(KNOWN_WORDS), tokenizer.sot_token_id, tokenizer.eot_token_id]
        token_ids = torch.tensor(sorted(set(ids)))
        return compact.save(
            folder / compact.FILE_NAME,
            state_dict,
            token_ids=token_ids,
            rows=torch.randn(len(token_ids), 16),
            unknown=torch.zeros(16),
            model_cfg=model_cfg,
            preprocess_cfg=preprocess_cfg,
        )


def tiny_universal(embed_dim: int = 16, *, generator_hash: str, clip_hash: str) -> Universal:
    """A universal mapper that knows neither of the two, but does something."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(2)
        axes = torch.linalg.qr(torch.randn(embed_dim, embed_dim)).Q
        own, other = axes[:, :5], axes[:, 5:8]
        halves = []
        for which in WHICH:
            variation = Variation(own, torch.linspace(1.0, 0.2, 5), other)
            half = UniversalMapper(
                which,
                variation,
                0.1 * torch.randn(embed_dim),
                CODE_DIM,
                8,
                MapperConfig(kind="universal", hidden=8),
            )
            torch.nn.init.normal_(half.end.weight, std=0.5)
            halves.append(half)
            own, other = axes[:, 8:13], axes[:, :3]
        router = Router()
        router.begin.fill_(0.01)
        router.full.fill_(0.05)
        router.shortest.fill_(0.2)
    return Universal(
        halves[0], halves[1], router, generator_hash=generator_hash, clip_hash=clip_hash
    )


def tiny_bundle(folder: Path, layers: int = 1) -> Path:
    """Generator, discriminator, CLIP and both mappers, with random weights; returns the folder."""
    generator = tiny_generator()
    generator.save(folder / "generator.safetensors")
    tiny_discriminator().save(folder / "discriminator.safetensors")
    clip = Clip.load(tiny_clip_file(folder, layers))
    for which in ("shape", "appearance"):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            mapper = Mapper(
                which,
                clip.embed_dim,
                CODE_DIM,
                MapperConfig(hidden=8),
                generator_hash=generator.hash,
                clip_hash=clip.hash,
            )
            torch.nn.init.normal_(mapper.end.weight)
        mapper.save(folder / f"mapper_{which}.safetensors")
    return folder


def tiny_parts(folder: Path, noun: str = "chair") -> Path:
    """Segmenter and region field of a tiny bundle of 3 layers: a phrase names all of an object."""
    generator, clip = Generator.load(folder / "generator.safetensors"), Clip.load(folder)
    config = SegmenterConfig(
        input_size=32, levels=[0, 1, 2], width=16, decoder_layers=1, heads=2, feedforward=16
    )
    field = generator.field
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(2)
        segmenter = Segmenter(config, clip)
        sizes = (field.density_layers[0].weight.shape[0], 8, segmenter.backbone.embedding)
        region = RegionField(*sizes, width=8, vector=4)
        region.text.bias[-1] = 40.0
    # what a file holds is in half precision, and so is what its hash is over
    segmenter = Segmenter.load(segmenter.save(folder / "segmenter.safetensors"), clip)
    save_region(
        folder / "region.safetensors",
        region,
        generator_hash=generator.hash,
        segmenter_hash=segmenter.hash,
        noun=noun,
    )
    return folder


def tiny_codes(path: Path, generator_hash: str, **changes: torch.Tensor) -> Path:
    """A file of two inverted objects, some of its tensors changed."""
    codes = Codes.from_seeds([0, 1], CODE_DIM)
    pose = Pose.from_angles(*torch.zeros(4, 2), torch.zeros(2, 2))
    tensors = {
        "shape": codes.shape,
        "appearance": codes.appearance,
        "rotation": pose.rotation,
        "distance": pose.distance,
        "shift": pose.shift,
        "psnr": torch.full((2,), 20.0),
        "foreground_r2": torch.full((2,), 0.5),
    }
    config = {"names": ["a.png", "b.png"], "size": 16}
    extra = {"generator_hash": generator_hash}
    return save_weights(path, {**tensors, **changes}, kind=CODES, config=config, extra=extra)
