"""The NumPy reference: what every target must compute, byte for byte.

It agrees with TFLite Micro's reference kernels in every bit. Each file implements a
family of ops; `registry` maps an op class to its function, `interpreter` runs a graph.
"""

from tinyml.reference.interpreter import States, initial_states, run, step

__all__ = ["States", "initial_states", "run", "step"]
