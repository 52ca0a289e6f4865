"""Where real scales become integers: fixed-point arithmetic and the constants of every kernel.

`fixedpoint` holds gemmlowp's primitives, `params` the integer constants of one node
and the look-up tables of element-wise ops, `sampling` the source rows and columns of a
resize. The NumPy reference computes with these numbers and the C op structs are filled
from them, so both see the same ones.
"""
