"""Operators and forms of operators that the writer never writes, by hand-made files."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tests.importers.common import activation, integers
from tests.support.builder import GraphBuilder, frozen, per_tensor
from tests.support.oracle import run_tflm
from tests.support.tflite_writer import edited, write, write_operator
from tinyml.errors import ModelError, UnsupportedError
from tinyml.importers.strided_slice import Masks, resolve
from tinyml.importers.tflite import read
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Quant, Shape, Tensor
from tinyml.reference import run


def one(graph: Graph) -> ops.Op:
    """The op of a graph that has one."""
    (node,) = graph.nodes
    return node.op


def sliced(x: np.ndarray, op: ops.StridedSlice) -> np.ndarray:
    """The op's own definition, element by element index."""
    zipped = zip(op.begin, op.sizes, op.strides, strict=True)
    indices = np.ix_(*[begin + np.arange(size) * stride for begin, size, stride in zipped])
    return x[indices].reshape(op.shape)


@pytest.mark.parametrize(
    ("shape", "dims", "result"),
    [
        ((1, 1, 4, 1), [], (4,)),
        ((1, 1, 4, 1), [1], (1, 4, 1)),
        ((1, 1, 4, 1), [-1, 0], (1, 4)),
        ((2, 3), [], (2, 3)),
    ],
)
def test_squeeze(shape: Shape, dims: list[int], result: Shape) -> None:
    x, y = activation("x", shape), activation("y", result)
    data = write_operator("SQUEEZE", [x], [y], schema.SqueezeOptionsT(dims))
    assert one(read(data, "m")) == ops.Reshape(result)


def test_squeeze_of_a_dimension_that_is_not_1() -> None:
    x, y = activation("x", (2, 3)), activation("y", (3,))
    data = write_operator("SQUEEZE", [x], [y], schema.SqueezeOptionsT([0]))
    with pytest.raises(ModelError, match="SQUEEZE 'y'"):
        read(data, "m")


@pytest.mark.parametrize(("axis", "result"), [(0, (1, 2, 3)), (-1, (2, 3, 1)), (2, (2, 3, 1))])
@pytest.mark.parametrize("dtype", [DType.INT32, DType.INT64])
def test_expand_dims(axis: int, result: Shape, dtype: DType) -> None:
    operands = [activation("x", (2, 3)), integers("axis", axis, dtype)]
    data = write_operator("EXPAND_DIMS", operands, [activation("y", result)])
    graph = read(data, "m")
    assert one(graph) == ops.Reshape(result)
    assert graph.nodes[0].inputs == ("x",)
    assert set(graph.tensors) == {"x", "y"}


@pytest.mark.parametrize(
    ("operand", "option"),
    [([4, -1], None), ([4, 6], [9, 9]), (None, [-1, 6]), (None, None)],
)
def test_reshape(operand: list[int] | None, option: list[int] | None) -> None:
    """The operand counts, then the option, then the shape of the result."""
    operands = [activation("x", (2, 3, 4))]
    if operand is not None:
        operands.append(integers("shape", operand))
    options = None if option is None else schema.ReshapeOptionsT(option)
    data = write_operator("RESHAPE", operands, [activation("y", (4, 6))], options)
    assert one(read(data, "m")) == ops.Reshape((4, 6))


@pytest.mark.parametrize("shape", [[5, 5], [-1, -1], [7, -1], [0, 24], [24]])
def test_reshape_that_does_not_fit(shape: list[int]) -> None:
    operands = [activation("x", (2, 3, 4)), integers("shape", shape)]
    data = write_operator("RESHAPE", operands, [activation("y", (4, 6))])
    with pytest.raises(ModelError, match="RESHAPE 'y'"):
        read(data, "m")


def test_negative_axes() -> None:
    x, y = activation("x", (2, 3, 4)), activation("y", (2, 3))
    options = schema.ReducerOptionsT(False)
    data = write_operator("MEAN", [x, integers("axes", [-1, 2])], [y], options)
    assert one(read(data, "m")) == ops.Mean((2,), False)
    y = activation("y", (2, 4), DType.INT32)
    data = write_operator("ARG_MAX", [x, integers("axis", -2)], [y], schema.ArgMaxOptionsT(2))
    assert one(read(data, "m")) == ops.ArgMax(1)
    y = activation("y", (2, 3, 8))
    data = write_operator("CONCATENATION", [x, x], [y], schema.ConcatenationOptionsT(-1))
    assert one(read(data, "m")) == ops.Concatenation(2)


@pytest.mark.parametrize("axis", [3, -4])
def test_an_axis_that_does_not_exist(axis: int) -> None:
    x, y = activation("x", (2, 3, 4)), activation("y", (2, 3))
    options = schema.ReducerOptionsT(False)
    data = write_operator("MEAN", [x, integers("axes", [axis])], [y], options)
    with pytest.raises(ModelError, match=f"MEAN 'y': axis {axis} does not exist"):
        read(data, "m")


@pytest.mark.parametrize(("size", "stride", "kernel"), [(6, 2, 3), (5, 2, 3), (7, 3, 2), (4, 1, 4)])
def test_same_pads_the_end_more(size: int, stride: int, kernel: int) -> None:
    """By definition: ceil(size / stride) outputs, an odd pad at the bottom and right."""
    steps = -(-size // stride)
    ones = frozen(np.ones((1, kernel, 1, 1), np.int8))
    weights = Tensor("w", ones.shape, DType.INT8, Quant((0.5,), (0,)), ones)
    options = schema.Conv2DOptionsT(schema.Padding.SAME, strideH=stride, strideW=1)
    operands = [activation("x", (1, size, 1, 1)), weights, None]
    data = write_operator("CONV_2D", operands, [activation("y", (1, steps, 1, 1))], options)
    op = one(read(data, "m"))
    assert isinstance(op, ops.Conv2D)
    total = max((steps - 1) * stride + kernel - size, 0)
    assert (op.pads.top, op.pads.bottom) == (total // 2, total - total // 2)
    assert op.pads.bottom - op.pads.top in (0, 1)
    assert (op.pads.left, op.pads.right) == (0, 0)


@pytest.mark.parametrize(("stated", "sound"), [(0, True), (2, True), (3, False)])
def test_depth_multiplier_option(stated: int, sound: bool) -> None:
    """Newer converters leave the redundant option 0."""
    zeros = frozen(np.zeros((1, 1, 1, 4), np.int8))
    weights = Tensor("w", (1, 1, 1, 4), DType.INT8, Quant((0.5,), (0,)), zeros)
    options = schema.DepthwiseConv2DOptionsT(
        schema.Padding.VALID, strideH=1, strideW=1, depthMultiplier=stated
    )
    operands = [activation("x", (1, 2, 2, 2)), weights, None]
    results = [activation("y", (1, 2, 2, 4))]
    data = write_operator("DEPTHWISE_CONV_2D", operands, results, options)
    if sound:
        assert one(read(data, "m")) == ops.DepthwiseConv2D(multiplier=2)
    else:
        with pytest.raises(ModelError, match="depth multiplier 3"):
            read(data, "m")


@st.composite
def python_slices(draw) -> tuple[Shape, list]:
    """A shape and an index that NumPy understands too, with a result that is not empty."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    index: list = []
    for dim in shape:
        match draw(st.sampled_from(("slice", "slice", "slice", "shrink", "new"))):
            case "shrink":
                index.append(draw(st.integers(-dim, dim - 1)))
                continue
            case "new":
                index.append(None)
        edge = st.none() | st.integers(-dim - 2, dim + 2)
        stride = draw(st.sampled_from((1, 2, 3, -1, -2)))
        part = slice(draw(edge), draw(edge), stride)
        empty = len(range(dim)[part]) == 0
        # TFLite Micro clamps a start to the last element, Python to behind it.
        beyond = part.start is not None and not -dim <= part.start < dim
        index.append(slice(None, None, stride) if empty or beyond else part)
    if draw(st.booleans()):
        at = draw(st.integers(0, len(index)))
        stop = draw(st.integers(at, len(index)))
        while stop > at and index[stop - 1] is None:
            stop -= 1
        index[at:stop] = [...]
    return shape, index


@settings(max_examples=400, deadline=None, derandomize=True)
@given(python_slices())
def test_strided_slice_means_what_numpy_means(case) -> None:
    shape, index = case
    x = np.arange(np.prod(shape)).reshape(shape)
    begin, end, strides = [], [], []
    bits = dict.fromkeys(("begin", "end", "ellipsis", "new_axis", "shrink"), 0)
    for i, entry in enumerate(index):
        first, last, stride = 0, 0, 1
        if entry is None:
            bits["new_axis"] |= 1 << i
        elif entry is ...:
            bits["ellipsis"] |= 1 << i
        elif isinstance(entry, int):
            first, last = entry, entry + 1
            bits["shrink"] |= 1 << i
        else:
            first, last, stride = entry.start or 0, entry.stop or 0, entry.step
            bits["begin"] |= (entry.start is None) << i
            bits["end"] |= (entry.stop is None) << i
        begin, end, strides = [*begin, first], [*end, last], [*strides, stride]
    op = resolve(shape, begin, end, strides, Masks(**bits))
    expected = x[tuple(index)]
    assert op.shape == expected.shape
    assert op.infer((shape,)) == (expected.shape,)
    np.testing.assert_array_equal(sliced(x, op), expected)


@st.composite
def masked_slices(draw) -> tuple[Shape, list[int], list[int], list[int], int, int, int]:
    """Entries for every dimension with begin, end and shrink masks, as TFLite Micro takes them."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    begin = [draw(st.integers(-d, d - 1)) for d in shape]
    end = [draw(st.integers(-d - 2, d + 2)) for d in shape]
    shrink = draw(st.integers(0, 2 ** len(shape) - 1))
    strides = [
        1 if shrink >> i & 1 else draw(st.sampled_from((1, 2, 3, -1, -2)))
        for i in range(len(shape))
    ]
    # A dimension that is dropped takes no mask: TFLite Micro then leaves its own shape rule.
    masks = [draw(st.integers(0, 2 ** len(shape) - 1)) & ~shrink for _ in range(2)]
    return shape, begin, end, strides, masks[0], masks[1], shrink


@settings(max_examples=150, deadline=None, derandomize=True)
@given(masked_slices())
def test_strided_slice_means_what_tflm_means(case) -> None:
    shape, begin, end, strides, begin_mask, end_mask, shrink = case
    op = resolve(shape, begin, end, strides, Masks(begin_mask, end_mask, 0, 0, shrink))
    x, y = activation("x", shape), activation("y", op.shape)
    operands = [
        x,
        integers("begin", begin),
        integers("end", end),
        integers("strides", strides),
    ]
    options = schema.StridedSliceOptionsT(begin_mask, end_mask, 0, 0, shrink)
    data = write_operator("STRIDED_SLICE", operands, [y], options)
    if min(op.sizes) < 1:
        with pytest.raises(UnsupportedError, match="dynamic or empty shape"):
            read(data, "m")
        return
    assert one(read(data, "m")) == op
    feed = np.arange(np.prod(shape)).astype(np.int8).reshape(shape)
    (found,) = run_tflm(data, [feed])
    np.testing.assert_array_equal(np.reshape(found, op.shape), sliced(feed, op))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_slice_and_reverse_mean_what_tflm_means(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    x = activation("x", shape)
    feed = np.arange(np.prod(shape)).astype(np.int8).reshape(shape)
    if data.draw(st.booleans()):
        begin = [data.draw(st.integers(0, n - 1)) for n in shape]
        sizes = [
            data.draw(st.sampled_from((-1, n - at))) if data.draw(st.booleans()) else 1
            for n, at in zip(shape, begin, strict=True)
        ]
        taken = tuple(
            n - at if size == -1 else size for n, at, size in zip(shape, begin, sizes, strict=True)
        )
        operands = [x, integers("begin", begin), integers("sizes", sizes)]
        written = write_operator(
            "SLICE", operands, [activation("y", taken)], schema.SliceOptionsT()
        )
    else:
        first = data.draw(st.integers(0, len(shape) - 1))
        axes = list(range(first, data.draw(st.integers(first, len(shape) - 1)) + 1))
        operands = [x, integers("axes", axes)]
        options = schema.ReverseV2OptionsT()
        written = write_operator("REVERSE_V2", operands, [activation("y", shape)], options)
    graph = read(written, "m")
    (found,) = run(graph, {"x": feed}).values()
    np.testing.assert_array_equal(found, run_tflm(written, [feed])[0])


def test_strided_slice_with_lengths_for_ends() -> None:
    """The `offset` option: an end counts from its begin."""
    operands = [
        activation("x", (8,)),
        integers("begin", [2]),
        integers("end", [3]),
        integers("strides", [1]),
    ]
    options = schema.StridedSliceOptionsT(offset=True)
    data = write_operator("STRIDED_SLICE", operands, [activation("y", (3,))], options)
    assert one(read(data, "m")) == ops.StridedSlice((2,), (3,), (1,), (3,))


@pytest.mark.parametrize(
    ("begin", "end", "strides", "masks"),
    [
        ([0], [1], [0], Masks()),
        ([0], [1, 2], [1], Masks()),
        ([0] * 3, [1] * 3, [1] * 3, Masks()),
        ([0] * 2, [1] * 2, [1] * 2, Masks(ellipsis=3)),
        ([0] * 40, [1] * 40, [1] * 40, Masks(new_axis=-1)),
    ],
)
def test_strided_slice_that_makes_no_sense(begin, end, strides, masks: Masks) -> None:
    with pytest.raises(ValueError, match=r"stride|entries|begins"):
        resolve((4, 4), begin, end, strides, masks)


def test_a_dense_layer_whose_bias_is_left_out() -> None:
    """... not given as absent: files of some converters have two operands only."""
    b = GraphBuilder("dense", 1)
    x = b.input((1, 5), per_tensor(0.5, 3), name="x")
    graph = b.graph(b.dense(x, 4, quant=per_tensor(1.0, -7), bias=False))

    def shorten(model: schema.ModelT) -> None:
        (operator,) = model.subgraphs[0].operators
        operator.inputs = list(operator.inputs)[:2]

    data = edited(write(graph), shorten)
    found = read(data, "m")
    assert found.operands(found.nodes[0])[2] is None
    given_x = np.arange(-60, 65, 25, dtype=np.int8)[None]
    (y,) = run(found, {found.inputs[0]: given_x}).values()
    assert np.array_equal(y, run_tflm(data, [given_x])[0])


def test_an_operand_that_is_needed_and_left_out() -> None:
    data = write_operator("EMBEDDING_LOOKUP", [activation("x", (4, 3))], [activation("y", (4, 3))])
    with pytest.raises(ModelError, match="EMBEDDING_LOOKUP 'y': operand 1 is missing"):
        read(data, "m")
