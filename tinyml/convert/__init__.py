"""Models of other frameworks as quantised .tflite files, by those frameworks' own converters."""

from tinyml.convert.conversion import ConvertOptions, convert, converted_bytes, float_bytes
from tinyml.convert.reuse import CONVERTED, fingerprint, reusable

__all__ = [
    "CONVERTED",
    "ConvertOptions",
    "convert",
    "converted_bytes",
    "fingerprint",
    "float_bytes",
    "reusable",
]
