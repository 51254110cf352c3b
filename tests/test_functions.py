"""Properties that every operation must have: a test each, drawn for all rows of operations.py."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import chain, combinations
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keepers import Nothing
from operations import ROWS, Case, Row, bits, each, is_float, total, variables

import autodiff as ad
from autodiff import (
    MODES,
    Function,
    Variable,
    functions,
    grad,
    gradient_check,
    using_config,
    using_mode,
)
from autodiff.functions import correlation, elementwise, reductions, shapes, sliding
from autodiff.functions.arity import Binary, Unary
from autodiff.functions.fitting import Fitting
from autodiff.functions.numpy_protocol import OPERATIONS
from autodiff.functions.per_input import PerInput

Array: TypeAlias = np.ndarray[Any, Any]

RECORDING = [name for name, mode in MODES.items() if mode.enable_backprop]


FAMILIES = {
    Unary,
    Binary,
    Fitting,
    PerInput,
    reductions.Reduction,
    elementwise.Choice,
    reductions.Extreme,
    shapes.Indexed,
    sliding.Sliding,
    correlation.Correlation,
}  # what Functions have in common


UNNAMED = {"clip by arrays", "scatter", "correlate by x", "correlate by W"}  # for one name more


def below(cls: type[Function]) -> set[type[Function]]:
    return {cls}.union(*(below(sub) for sub in cls.__subclasses__()))


@pytest.mark.forward
def test_every_operation_has_a_row() -> None:
    modules = [module for module in vars(functions).values() if hasattr(module, "__all__")]
    public = set().union(*(module.__all__ for module in modules))
    assert {row.name for row in ROWS} == public | UNNAMED
    assert public <= set(ad.__all__)
    ours = {cls for cls in below(Function) if cls.__module__.startswith("autodiff.functions.")}
    assert {cls for row in ROWS for cls in row.records} == ours - FAMILIES
    numpy = {row.numpy_function or row.numpy for row in ROWS} | {np.amax, np.amin}
    assert set(OPERATIONS) <= numpy


@pytest.mark.forward
@each([row for row in ROWS if row.name != "scatter"])
@given(data=st.data())
@settings(max_examples=15)
def test_forward_is_numpys(row: Row, data: st.DataObject) -> None:
    case = data.draw(row.cases)
    expected = row.numpy(*case.operands, **case.options)
    expected = list(expected) if isinstance(expected, (tuple, list)) else [expected]
    xs = variables(case)
    ys = row(*xs, **case.options)
    assert len(ys) == len(expected)
    for y, want in zip(ys, expected, strict=True):
        assert type(y) is Variable
        assert type(y.data) is np.ndarray
        assert (y.shape, y.dtype) == (np.shape(want), np.asarray(want).dtype)
        if row.exact:
            assert y.data.tobytes() == np.asarray(want).tobytes()
        else:
            np.testing.assert_allclose(y.data, want, rtol=1e-12, atol=1e-15)
    for x, before in zip(xs, case.operands, strict=True):
        assert x.data.tobytes() == before.tobytes()


@each()
@given(data=st.data())
@settings(max_examples=6)
def test_gradients_are_those_of_finite_differences_to_third_order(
    row: Row, data: st.DataObject
) -> None:
    case = data.draw(row.cases)
    floats = [x for x in case.operands if is_float(x)]

    def f(*xs: Variable) -> Variable:
        given = iter(xs)
        return total(
            row(*(next(given) if is_float(x) else x for x in case.operands), **case.options)
        )

    found = gradient_check(f, *floats, order=3)
    assert found, str(found)


@each()
@given(data=st.data())
@settings(max_examples=6)
def test_gradients_have_the_shape_and_dtype_of_data_and_the_bits_of_those_with_graphs(
    row: Row, data: st.DataObject
) -> None:
    case = data.draw(row.cases)
    dtypes = [data.draw(st.sampled_from(["f4", "f8"])) for x in case.operands]
    if row.name == "astype":
        case = Case(case.operands, {"dtype": np.float32})
    xs = [
        Variable(x.astype(dtype) if is_float(x) else x)
        for x, dtype in zip(case.operands, dtypes, strict=True)
    ]
    ys = row(*xs, **case.options)
    if row.name != "astype":
        assert {y.dtype for y in ys} == {np.result_type(*(x.dtype for x in xs if is_float(x)))}
    result = total(ys)
    result.backward(retain_graph=True)
    for x in xs:
        if not is_float(x):
            assert x.grad is None
        else:
            assert type(x.grad) is np.ndarray
            assert (x.grad.shape, x.grad.dtype) == (x.shape, x.dtype)
    with_graphs = grad(result, xs, create_graph=True)
    assert bits([x.grad for x in xs]) == bits([g if g is None else g.data for g in with_graphs])


@each([row for row in ROWS if (row.numpy_function or row.numpy) in OPERATIONS])
@given(data=st.data())
@settings(max_examples=6)
def test_numpys_function_on_variables_is_the_same_operation(row: Row, data: st.DataObject) -> None:
    case = data.draw(row.cases)
    xs = variables(case)
    ours = row(*xs, **case.options)
    theirs = row.numpy(*xs, **case.options)
    theirs = theirs if isinstance(theirs, list) else [theirs]
    for y, other in zip(ours, theirs, strict=True):
        assert type(other) is Variable
        assert type(y.creator) is type(other.creator)
        assert bits([y.data]) == bits([other.data])


@each()
@given(data=st.data())
@settings(max_examples=4)
def test_no_operation_writes_to_what_it_is_given(row: Row, data: st.DataObject) -> None:
    def shut(array: Array) -> Array:
        array.flags.writeable = False
        return array

    case = data.draw(row.cases)
    ys = row(*(Variable(shut(x)) for x in case.operands), **case.options)
    function = ys[0].creator
    assert function is not None
    for y in ys:
        shut(y.data)
    function.backward(*(shut(np.ones_like(y.data)) for y in ys))


@each()
@given(data=st.data())
@settings(max_examples=4)
def test_every_mode_gives_the_same_bits(row: Row, data: st.DataObject) -> None:
    case = data.draw(row.cases)
    found = []
    for name in RECORDING:
        with using_mode(name):
            xs = variables(case)
            ys = row(*xs, **case.options)
            assert {type(y.creator) for y in ys} <= set(row.records)
            total(ys).backward()
            found.append(bits([*(y.data for y in ys), *(x.grad for x in xs)]))
    assert all(one == found[0] for one in found)


@each()
@given(data=st.data())
@settings(max_examples=4)
def test_what_is_kept_can_be_computed_again(row: Row, data: st.DataObject) -> None:
    case = data.draw(row.cases)
    found = []
    for keeper in (None, Nothing()):
        with using_config("keeper", keeper):
            xs = variables(case)
            wanted = [x for x in xs if is_float(x.data)]
            result = total(
                [y * 2 for y in row(*(x * 1 for x in xs), **copy.deepcopy(case.options))]
            )
            first = grad(result, wanted, create_graph=True)
            second = grad(total([g for g in first if g is not None]), wanted)
            found.append(bits([*(None if g is None else g.data for g in first), *second]))
    assert found[0] == found[1]


@each([row for row in ROWS if row.name != "scatter"])
@given(data=st.data())
@settings(max_examples=6)
def test_integers_have_the_gradients_of_the_floats_that_they_are(
    row: Row, data: st.DataObject
) -> None:
    case = data.draw(row.cases)
    chosen = [i for i, x in enumerate(case.operands) if is_float(x)]
    integers = list(case.operands)
    for i in chosen:
        integers[i] = np.asarray(np.rint(abs(integers[i])) + 1, dtype=np.int64)
    turned = data.draw(st.sampled_from(chosen))  # the others are floats
    floats = [
        Variable(x.astype(float)) if i in chosen else Variable(x, requires_grad=False)
        for i, x in enumerate(integers)
    ]
    some = [Variable(integers[i]) if i == turned else x for i, x in enumerate(floats)]
    total(row(*some, **case.options)).backward()
    total(row(*floats, **case.options)).backward()
    for x, y in zip(some, floats, strict=True):
        assert (x.grad is None) == (y.grad is None)
        if x.grad is not None and y.grad is not None:
            assert x.grad.dtype == np.float64
            np.testing.assert_allclose(x.grad, y.grad, rtol=1e-12, atol=1e-12)


# What is declared is what is read -----------------------------------------------------------------


def spoil(array: Array, value: float) -> None:
    """Fill an array with what it did not hold, and integers with what is no index."""
    if is_float(array):
        array[...] = value
    elif array.dtype == bool:
        array[...] = ~array
    else:
        array[...] = array + 100


def gradients_after(
    row: Row, case: Case, wanted: Sequence[int], change: Callable[[Function, list[Array]], None]
) -> list[Any]:
    """Gradients of the wanted operands, after `change` of the Function and of all its arrays."""
    xs = [Variable(x.copy(), requires_grad=i in wanted) for i, x in enumerate(case.operands)]
    ys = row(*xs, **copy.deepcopy(case.options))
    function = ys[0].creator
    assert function is not None
    result = total(ys)
    with np.errstate(all="ignore"):
        change(function, [v.data for v in (*xs, *ys)])
        try:
            return bits(grad(result, [xs[i] for i in wanted]))
        except (IndexError, ValueError) as error:  # an index that was read, and is none any more
            return [error]


def kept(function: Function) -> list[Array]:
    return [x for x in function.saved if isinstance(x, np.ndarray)]


@each([row for row in ROWS if row.name != "clip by arrays"])
@given(data=st.data())
@settings(max_examples=8)
def test_every_operation_reads_exactly_what_it_declares(row: Row, data: st.DataObject) -> None:
    case = data.draw(row.cases)
    floats = [i for i, x in enumerate(case.operands) if is_float(x)]
    subsets = chain.from_iterable(combinations(floats, n + 1) for n in range(len(floats)))
    wanted = data.draw(st.sampled_from(list(subsets)))  # the others are constants
    sizes: list[int] = []

    def look(function: Function, arrays: list[Array]) -> None:
        sizes.extend(x.size for x in kept(function))
        sizes.append(arrays[-1].size)

    def spoil_the_rest(function: Function, arrays: list[Array]) -> None:
        for x in arrays:
            if x.flags.writeable and not any(np.shares_memory(x, y) for y in kept(function)):
                spoil(x, np.nan)

    with using_mode("lean"):
        right = gradients_after(row, case, wanted, look)
        assert gradients_after(row, case, wanted, spoil_the_rest) == right
        *declared, results = sizes
        for i, size in enumerate(declared):
            if not size or not results:
                continue
            assert any(
                gradients_after(row, case, wanted, lambda f, _: spoil(kept(f)[i], value)) != right  # noqa: B023
                for value in (np.nan, 1e3, -1e3, 0.1)
            ), f"declared array {i} is not read"
