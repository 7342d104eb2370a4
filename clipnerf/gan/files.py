"""Files of a generator's training: what people use of it, and what another training begins with."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from clipnerf.errors import UsageError
from clipnerf.gan.autoencoder import Autoencoder
from clipnerf.gan.discriminator import OPPONENT, Discriminator, refuse_stranger
from clipnerf.gan.feature_discriminator import FeatureDiscriminator
from clipnerf.gan.generator import Generator
from clipnerf.gan.picture_encoder import FILE_NAME
from clipnerf.gan.schedules import Schedules
from clipnerf.io.weights import load_weights, weights_hash

HEADS = "features.safetensors"
"""What a run calls the heads of its feature discriminator."""


class Files(Schedules):
    """What a trainer writes and begins with; the networks are its own."""

    generator: Generator
    average: Generator
    discriminator: Discriminator
    features: FeatureDiscriminator | None
    autoencoder: Autoencoder | None

    def provenance(self) -> dict[str, str]:
        """What the generator's file says beside its weights: networks that it was trained against.

        A figure in the features of one of them would flatter it.
        """
        said = {"kimg": f"{self.kimg:g}"}
        if self.features is not None:
            network = self.features.network
            said["feature_network"] = f"{network.name} ({network.hash}, from {network.source})"
        return said

    def save(self, folder: Path) -> list[Path]:
        """The files that people use: average, discriminator, heads of the second one, encoder."""
        # as it was trained so far: its file is looked at before all schedules have ended
        field = dataclasses.replace(
            self.average.config.field, density_scale=self.average.field.density_scale
        )
        self.average.config = dataclasses.replace(self.average.config, field=field)
        files = [folder / "generator.safetensors", folder / "discriminator.safetensors"]
        self.average.save(files[0], self.provenance())
        opponent = {OPPONENT: self.average.hash}
        self.discriminator.save(files[1], opponent)
        if self.features is not None:
            self.features.save(folder / HEADS, opponent)
            files.append(folder / HEADS)
        if self.autoencoder is not None:
            self.autoencoder.encoder.save(folder / FILE_NAME, opponent)
            files.append(folder / FILE_NAME)
        return files

    def start_from(self, folder: Path) -> None:
        """Begin with the files of another run or of a bundle, at the kimg of its generator.

        Raises:
            UsageError: files that are missing, of other sizes than configured, or of several runs.
        """
        weights = load_weights(folder / "generator.safetensors", "generator")
        file = folder / "discriminator.safetensors"
        judge, own = load_weights(file, "discriminator"), weights_hash(weights.tensors)
        refuse_stranger(file, judge, own)
        try:
            self.generator.load_state_dict(weights.tensors)
            self.average.load_state_dict(weights.tensors)
            # one that guesses the camera may begin with one that does not
            missing = self.discriminator.load_state_dict(judge.tensors, strict=False)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:160]
            raise UsageError(
                f"start_from is {str(folder)!r}, whose networks are of other sizes ({reason}); "
                "give the configuration that they were trained with"
            ) from error
        wrong = [key for key in missing.missing_keys if not key.startswith("direction.")]
        if wrong or missing.unexpected_keys:
            raise UsageError(f"start_from is {str(folder)!r}, whose discriminator is another one")
        if self.features is not None and (folder / HEADS).is_file():
            self.features.take_up(folder / HEADS, own)
        if self.autoencoder is not None and (folder / FILE_NAME).is_file():
            self.autoencoder.encoder.take_up(folder / FILE_NAME, own)
        self.step = round(float(weights.metadata.get("kimg", 0)) * 1000 / self.config.batch)
