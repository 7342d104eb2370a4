"""Types that fields of several configurations share."""

from __future__ import annotations

from typing import Literal

Device = Literal["auto", "cpu", "cuda"]
