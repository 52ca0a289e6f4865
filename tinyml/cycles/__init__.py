"""An estimate of cycles: blocks of code counted exactly in the emulator, a model of the core."""

from tinyml.cycles.estimate import Estimate, estimate

__all__ = ["Estimate", "estimate"]
