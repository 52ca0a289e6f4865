"""Neural networks on microcontrollers: plan, generate, build, run and verify."""

__version__ = "0.1.0"
