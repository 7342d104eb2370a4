"""Takes jaxtyping's place in scripts/gpu_check.sh where it is not installed: checks nothing."""

from typing import Any


class _Shaped:
    """``Float[Tensor, "batch 3"]`` is ``Tensor``."""

    def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
        return item[0]


Bool = Float = Float32 = Int = Int64 = UInt8 = _Shaped


class TypeCheckError(TypeError):
    """Never raised here."""


def install_import_hook(modules: str, typechecker: str) -> None:
    """Nothing is checked."""
