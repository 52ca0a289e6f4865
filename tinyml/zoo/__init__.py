"""Well-known small networks, built and trained in Keras, and deployed like any other."""

from tinyml.zoo.commands import ZooOptions, build, listed, train

__all__ = ["ZooOptions", "build", "listed", "train"]
