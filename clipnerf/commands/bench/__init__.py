"""``clipnerf bench``: the figures that the project promises, measured on this machine.

Every measure warms up, then lasts about ``seconds``; medians, so that one hiccup does not count.
Goals are those of two CPU cores, or of one data-center GPU.
"""

from clipnerf.commands.bench.report import bench

__all__ = ["bench"]
