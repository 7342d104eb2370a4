"""The API: objects of a category, edited by words, pictures and parts, and filmed."""

from clipnerf.editor.angles import Angle
from clipnerf.editor.bundle import mapper_kinds
from clipnerf.editor.editor import CUDA_ORBIT_PIXELS, ORBIT_PIXELS, Editor
from clipnerf.editor.local_edit import Painted

__all__ = ["CUDA_ORBIT_PIXELS", "ORBIT_PIXELS", "Angle", "Editor", "Painted", "mapper_kinds"]
