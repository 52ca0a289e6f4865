"""Readable, unique names for tensors and nodes."""

import re

_STEPS = re.compile(
    r"(addv?\d?|avgpool|biasadd|conv2d|convolution|depthwise|fusedbatchnormv3|matmul|maxpool|mean"
    r"|mul|readvariableop|relu6?|reshape|sigmoid|softmax|squeeze|sub|tanh)(_?\d+)?",
    re.IGNORECASE,
)
"""What frameworks call the steps of a layer: the layer's own name says more."""

_ANONYMOUS = re.compile(r"(identity|(stateful)?partitionedcall)(_\d+)?", re.IGNORECASE)
"""What converters call results, whatever computes them."""


class Namer:
    """Hands out each name once."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __call__(self, wanted: str) -> str:
        """`wanted`, or `wanted_2`, `wanted_3`, ... when it is taken."""
        name = wanted
        while name in self._counts:
            self._counts[wanted] += 1
            name = f"{wanted}_{self._counts[wanted]}"
        self._counts[name] = 1
        return name


def printable(name: str) -> str:
    """`name` without control characters, which could break a line of a report."""
    return "".join(c if c.isprintable() else "_" for c in name)


def node_name(tensor: str, kind: str) -> str:
    """A name for the node of TFLite kind `kind` that computes `tensor`.

    Converters name a tensor after all layers that were fused into it, as paths joined
    by ";", e.g. "net/relu/Relu;net/bn/FusedBatchNormV3;net/conv_1/BiasAdd". The layer
    that adds the bias is the one that does the work ("conv_1"), else the first one is.
    """
    paths = [path.split(":")[0].split("/") for path in tensor.split(";")]
    path = next((p for p in paths if p[-1].lower() == "biasadd"), paths[0])
    if len(path) > 1 and _STEPS.fullmatch(path[-1]):
        path = path[:-1]
    name = re.sub(r"[^A-Za-z0-9]+", "_", path[-1]).strip("_")
    return kind.lower() if not name or _ANONYMOUS.fullmatch(name) else name
