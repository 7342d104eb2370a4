"""One rank of test_distributed_gradients: its gradients in one step, written to a file.

The trainings are made here, so that the test's one process with the whole batch has the same.
"""

from pathlib import Path

import torch

from clipnerf.clip.trainer import Trainer as ClipTrainer
from clipnerf.config.clip import ClipAugmentConfig, CompactClipConfig, TrainClipConfig
from clipnerf.config.generator import DiscriminatorConfig, GeneratorConfig
from clipnerf.config.mapper import MapperConfig, MapperLossConfig, TrainMapperConfig
from clipnerf.config.pretrain import DataConfig, LossConfig, PretrainConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.gan.trainer import Trainer as GanTrainer
from clipnerf.mappers import loading as mapper_loading
from clipnerf.mappers import train as mapper_training
from clipnerf.training import distributed
from tests.gan.conftest import small_field

WHICH = ("shape", "appearance")


def mapper_config(folder: Path, which: str) -> TrainMapperConfig:
    """Every term of the loss; four objects a step over all ranks."""
    return TrainMapperConfig(
        which=which,
        generator=str(folder),
        clip=str(folder / "clip.safetensors"),
        device="cpu",
        library=str(folder / "library.yaml"),
        loss=MapperLossConfig(palette=1.0),
        mapper=MapperConfig(hidden=8),
        objects=4,
        edits=2,
        views=2,
        size=8,
    )


def clip_config(folder: Path) -> TrainClipConfig:
    """Nothing is drawn by the rank: no augmentation, no templates, no hidden words."""
    return TrainClipConfig(
        data=str(folder / "pictures"),
        batch=16,
        captions=3,
        themed_captions=1,
        held_out=0.25,
        model=CompactClipConfig(
            image_size=32,
            embed_dim=32,
            vision_width=8,
            text_width=32,
            text_layers=1,
            context_length=12,
        ),
        augment=ClipAugmentConfig(zoom=0.0, stretch=0.0, shift=0.0, blur=0.0, noise=0.0),
        template_share=0.0,
        unknown_share=0.0,
        precision="float32",
        device="cpu",
    )


def gan_config(folder: Path) -> PretrainConfig:
    """R1, noise and the priors on the volume are part of the first step."""
    return PretrainConfig(
        data=DataConfig(path=str(folder / "pictures"), size=16),
        generator=GeneratorConfig(
            field=small_field(), box=[0.6, 0.6, 0.8], samples=4, precision="float32"
        ),
        discriminator=DiscriminatorConfig(patch=8, width=8, max_width=8),
        # Adam's first step is a sign: rounding would move the discriminator that judges the fakes.
        loss=LossConfig(lr_discriminator=1e-12),
        batch=4,
        device="cpu",
    )


def mapper_trainer(folder: Path, which: str) -> mapper_training.MapperTraining:
    """A mapper whose end is not zero, so that every layer has a gradient."""
    config = mapper_config(folder, which)
    objective = mapper_loading.load_objective(config, torch.device("cpu"))
    mapper = mapper_training._fresh_mapper(config, objective)
    torch.nn.init.normal_(mapper.end.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    return mapper_training.MapperTraining(config, objective, mapper)


def clip_trainer(folder: Path) -> ClipTrainer:
    """A fresh compact CLIP on the pictures."""
    config = clip_config(folder)
    data = PictureDataset(config.data, config.model.image_size)
    return ClipTrainer(config, data, torch.device("cpu"))


def gan_trainer(folder: Path) -> GanTrainer:
    """Stirred, so that every weight has a gradient: fresh warps and tables are zero."""
    trainer = GanTrainer(gan_config(folder), torch.device("cpu"))
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trainer.generator.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=source)
    return trainer


def gan_gradients(trainer: GanTrainer) -> dict[str, dict[str, torch.Tensor]]:
    """After a step, of both players."""
    return {
        "generator": gradients(trainer.generator),
        "discriminator": gradients(trainer.discriminator),
    }


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Name to gradient; an error for a parameter without one."""
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def write_gradients(folder: Path) -> None:
    """What this rank has of each training, as the ranks together computed it."""
    distributed.init_from_env("cpu")
    found = {}
    for which in WHICH:
        trainer = mapper_trainer(folder, which)
        scalars = distributed.average_scalars(trainer.find_gradients())
        found[which] = {"gradients": gradients(trainer.mapper), "scalars": scalars}
    clip = clip_trainer(folder)
    loss = clip.find_gradients()
    found["clip"] = {
        "gradients": gradients(clip.model),
        "buffers": dict(clip.model.named_buffers()),
        "loss": float(loss),
    }
    gan = gan_trainer(folder)
    data = PictureDataset(folder / "pictures", 16)
    share = distributed.share(gan.config.batch, "batch")
    reals = data.batches(share, 0, 0, rank=distributed.rank(), world_size=distributed.world_size())
    gan.train_step(next(reals))
    found["gan"] = gan_gradients(gan)
    torch.save(found, folder / f"rank{distributed.rank()}.pt")
