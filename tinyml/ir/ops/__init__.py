"""The operators: one frozen dataclass each, with its shape rule and MAC count.

Attributes are resolved: operands that TFLite passes as constant tensors
(paddings, axes, permutations, sizes) are plain values here, axes are
non-negative, and SAME/VALID have become explicit pads. `kind` is TFLite's name.

A shape rule takes the input shapes (None for an absent operand) and returns
the output shapes; it raises ValueError, with the reason, when they do not fit.
"""

from tinyml.ir.ops.base import Activation as Activation
from tinyml.ir.ops.base import Op as Op
from tinyml.ir.ops.base import OptionalShapes as OptionalShapes
from tinyml.ir.ops.base import Pads as Pads
from tinyml.ir.ops.base import Shape as Shape
from tinyml.ir.ops.base import Shapes as Shapes
from tinyml.ir.ops.base import broadcast as broadcast
from tinyml.ir.ops.base import required as required
from tinyml.ir.ops.elementwise import COMPARISONS as COMPARISONS
from tinyml.ir.ops.elementwise import PAIRED as PAIRED
from tinyml.ir.ops.elementwise import TABULATED as TABULATED
from tinyml.ir.ops.elementwise import Abs as Abs
from tinyml.ir.ops.elementwise import Add as Add
from tinyml.ir.ops.elementwise import Compare as Compare
from tinyml.ir.ops.elementwise import Dequantize as Dequantize
from tinyml.ir.ops.elementwise import Elu as Elu
from tinyml.ir.ops.elementwise import Equal as Equal
from tinyml.ir.ops.elementwise import Greater as Greater
from tinyml.ir.ops.elementwise import GreaterEqual as GreaterEqual
from tinyml.ir.ops.elementwise import HardSwish as HardSwish
from tinyml.ir.ops.elementwise import LeakyRelu as LeakyRelu
from tinyml.ir.ops.elementwise import Less as Less
from tinyml.ir.ops.elementwise import LessEqual as LessEqual
from tinyml.ir.ops.elementwise import LogicalAnd as LogicalAnd
from tinyml.ir.ops.elementwise import LogicalNot as LogicalNot
from tinyml.ir.ops.elementwise import LogicalOr as LogicalOr
from tinyml.ir.ops.elementwise import Logistic as Logistic
from tinyml.ir.ops.elementwise import Maximum as Maximum
from tinyml.ir.ops.elementwise import Minimum as Minimum
from tinyml.ir.ops.elementwise import Mul as Mul
from tinyml.ir.ops.elementwise import NotEqual as NotEqual
from tinyml.ir.ops.elementwise import Prelu as Prelu
from tinyml.ir.ops.elementwise import Quantize as Quantize
from tinyml.ir.ops.elementwise import Relu as Relu
from tinyml.ir.ops.elementwise import Relu6 as Relu6
from tinyml.ir.ops.elementwise import Rsqrt as Rsqrt
from tinyml.ir.ops.elementwise import SquaredDifference as SquaredDifference
from tinyml.ir.ops.elementwise import Sub as Sub
from tinyml.ir.ops.elementwise import Tanh as Tanh
from tinyml.ir.ops.linear import AveragePool2D as AveragePool2D
from tinyml.ir.ops.linear import BatchMatMul as BatchMatMul
from tinyml.ir.ops.linear import Conv2D as Conv2D
from tinyml.ir.ops.linear import DepthwiseConv2D as DepthwiseConv2D
from tinyml.ir.ops.linear import FullyConnected as FullyConnected
from tinyml.ir.ops.linear import MaxPool2D as MaxPool2D
from tinyml.ir.ops.linear import TransposeConv as TransposeConv
from tinyml.ir.ops.movement import BroadcastTo as BroadcastTo
from tinyml.ir.ops.movement import Concatenation as Concatenation
from tinyml.ir.ops.movement import DepthToSpace as DepthToSpace
from tinyml.ir.ops.movement import Gather as Gather
from tinyml.ir.ops.movement import Pack as Pack
from tinyml.ir.ops.movement import Pad as Pad
from tinyml.ir.ops.movement import Reshape as Reshape
from tinyml.ir.ops.movement import ResizeBilinear as ResizeBilinear
from tinyml.ir.ops.movement import ResizeNearestNeighbor as ResizeNearestNeighbor
from tinyml.ir.ops.movement import SpaceToDepth as SpaceToDepth
from tinyml.ir.ops.movement import Split as Split
from tinyml.ir.ops.movement import SplitV as SplitV
from tinyml.ir.ops.movement import StridedSlice as StridedSlice
from tinyml.ir.ops.movement import Transpose as Transpose
from tinyml.ir.ops.movement import Unpack as Unpack
from tinyml.ir.ops.recurrent import AssignVariable as AssignVariable
from tinyml.ir.ops.recurrent import Lstm as Lstm
from tinyml.ir.ops.recurrent import Svdf as Svdf
from tinyml.ir.ops.reduction import ArgMax as ArgMax
from tinyml.ir.ops.reduction import ArgMin as ArgMin
from tinyml.ir.ops.reduction import Mean as Mean
from tinyml.ir.ops.reduction import ReduceMax as ReduceMax
from tinyml.ir.ops.reduction import ReduceMin as ReduceMin
from tinyml.ir.ops.reduction import Softmax as Softmax
