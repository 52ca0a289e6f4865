"""Neural networks on microcontrollers: plan, generate, build, run and verify."""
