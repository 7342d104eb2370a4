"""The API: objects of a category, edited by words, pictures and parts, and filmed."""

from clipnerf.editor.bundle import mapper_kinds
from clipnerf.editor.editor import Editor
from clipnerf.editor.regions import Painted
from clipnerf.editor.views import CUDA_ORBIT_PIXELS, ORBIT_PIXELS, Angle

__all__ = ["CUDA_ORBIT_PIXELS", "ORBIT_PIXELS", "Angle", "Editor", "Painted", "mapper_kinds"]
