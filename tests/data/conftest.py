"""Small picture files made on the spot."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


class Folder:
    """A folder under construction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)

    def picture(self, name: str, size=(16, 16), color=None, **options) -> np.ndarray:
        """Writes a picture of one color, or of noise, and returns its pixels."""
        seed = sum(name.encode())
        noise = np.random.RandomState(seed).randint(0, 256, (size[1], size[0], 3))
        pixels = np.uint8(noise if color is None else np.broadcast_to(color, noise.shape))
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(self.path / name, **options)
        return pixels

    def metadata(self, *rows: dict) -> None:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.path / "metadata.jsonl").write_text(text)

    def zipped(self, inside: str = "") -> Path:
        target = self.path.with_suffix(".zip")
        with zipfile.ZipFile(target, "w") as archive:
            for file in sorted(self.path.rglob("*")):
                if file.is_file():
                    archive.write(file, inside + file.relative_to(self.path).as_posix())
        return target


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path / "set")


@pytest.fixture
def ten(folder) -> Folder:
    """Ten noise pictures of 16 pixels, captioned."""
    for i in range(10):
        folder.picture(f"{i}.png")
    folder.metadata(*({"file_name": f"{i}.png", "text": f"a picture {i}"} for i in range(10)))
    return folder
