"""What pyproject.toml cannot say: the field in C, the bundles, and the wheel's tag."""

from __future__ import annotations

import platform
import sys
import zlib
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent

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


class WithBundles(build_py):
    """Puts ``data/pretrained`` into the wheel as ``clipnerf/pretrained``, for config/paths.py.

    What only training and evaluation read stays in the checkout: it is half of the size.
    """

    def bundles(self) -> dict[str, str]:
        """Source of each file, by its place in the wheel."""
        folder = Path("data", "pretrained")
        target = Path(self.build_lib, "clipnerf", "pretrained")
        files = [
            *folder.glob("*/*.safetensors"),
            *folder.glob("*/README.md"),
            *folder.glob("*/SHA256SUMS"),
        ]
        return {
            str(target / file.relative_to(folder)): str(file)
            for file in sorted(files)
            if file.stem not in ("discriminator", "features")
        }

    def run(self) -> None:
        """Copy them; an editable installation finds them where they are."""
        super().run()
        if not self.editable_mode:
            for target, source in self.bundles().items():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """What was built, for the list of installed files."""
        own = [] if self.editable_mode else list(self.bundles())
        return [*super().get_outputs(include_bytecode), *own]

    def get_source_files(self) -> list[str]:
        """What the source distribution holds."""
        return [*super().get_source_files(), *self.bundles().values()]


class AnyPython(bdist_wheel):
    """A wheel of one platform, and of all versions of Python: the library knows nothing of it."""

    def get_tag(self) -> tuple[str, str, str]:
        """py3-none-<platform>."""
        return "py3", "none", super().get_tag()[2]


setup(
    ext_modules=[Extension("clipnerf.fields.native._field", [FIELD], optional=True)],
    cmdclass={"build_ext": BuildField, "build_py": WithBundles, "bdist_wheel": AnyPython},
)
