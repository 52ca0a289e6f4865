"""A user's samples: read from a file or a folder, and made to fit the inputs of a model."""

from tinyml.data.dataset import Dataset, read_dataset
from tinyml.data.fit import fit, plain_name
from tinyml.data.images import parse_pixels

__all__ = ["Dataset", "fit", "parse_pixels", "plain_name", "read_dataset"]
