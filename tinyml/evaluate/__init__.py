"""How good a quantised model is: accuracy or error, and what each layer loses."""

from tinyml.evaluate.evaluate import EvaluateOptions, evaluate

__all__ = ["EvaluateOptions", "evaluate"]
