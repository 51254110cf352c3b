"""What each memory mode keeps alive: gradients equal, bytes by formula, life and death."""

from __future__ import annotations

import gc
import itertools
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import autodiff as ad
from autodiff import MODES, Function, MemoryMode, Variable, using_mode

ALL_MODES = [
    MemoryMode(backprop, refs, kept, retain_grad, retain_graph)
    for backprop, refs, kept, retain_grad, retain_graph in itertools.product(
        (True, False), ("weak", "strong"), ("declared", "inputs"), (False, True), (False, True)
    )
]
RECORDING = [mode for mode in ALL_MODES if mode.enable_backprop]


def describe(mode: MemoryMode) -> str:
    flags = [name for name in ("retain_grad", "retain_graph") if getattr(mode, name)]
    return "-".join([mode.output_refs, mode.kept, *flags])


# The named modes ----------------------------------------------------------------------------------


@pytest.mark.forward
def test_the_ladder_of_named_modes() -> None:
    strong = MemoryMode(True, "strong", "inputs", True, True)
    assert list(MODES.items()) == [
        ("step16", strong),
        ("step17", MemoryMode(True, "weak", "inputs", True, True)),
        ("step18", MemoryMode(True, "weak", "inputs", False, True)),
        ("lean", MemoryMode(True, "weak", "declared", False, False)),
        ("no_grad", MemoryMode(enable_backprop=False)),
    ]
    assert MemoryMode() == MODES["lean"]


@pytest.mark.forward
def test_a_mode_is_a_value() -> None:
    assert hash(MemoryMode()) == hash(MODES["lean"])
    with pytest.raises(AttributeError):
        MemoryMode().kept = "inputs"  # type: ignore[misc]


# Every mode gives bit-equal gradients -------------------------------------------------------------


def random_graph(rng: np.random.Generator, leaves: list[Variable], operations: int) -> Variable:
    """A result of random operations on random earlier results, some of them used often or never."""
    unary = [ad.sin, ad.exp, ad.tanh, ad.square, ad.sigmoid, lambda x: x * 0.5, lambda x: x[::-1]]
    binary = [ad.add, ad.mul, ad.sub, ad.maximum, lambda a, b: a / (b * b + 1)]
    several = [lambda x: ad.split(x, 2)[0].reshape(1, -1) + x[:2], lambda x: sum(ad.split(x, 4))]
    values = list(leaves)
    for _ in range(operations):
        kind = rng.integers(8)
        if kind == 0:
            y = several[rng.integers(len(several))](values[rng.integers(len(values))])
            y = y.sum() * values[0]
        elif kind < 4:
            y = unary[rng.integers(len(unary))](values[rng.integers(len(values))])
        else:
            x0, x1 = (values[i] for i in rng.integers(len(values), size=2))
            y = binary[rng.integers(len(binary))](x0, x1)
        values.append(ad.tanh(y))  # values stay finite
    return ad.mean(values[-1] * values[len(values) // 2])


def gradients(mode: MemoryMode, seed: int, calls: int = 1) -> list[bytes]:
    rng = np.random.default_rng(seed)
    leaves = [Variable(rng.normal(size=4)) for _ in range(3)]
    with using_mode(mode):
        y = random_graph(rng, leaves, operations=25)
        for _ in range(calls):
            y.backward(retain_graph=True if calls > 1 else None)
    return [b"" if x.grad is None else x.grad.tobytes() for x in leaves]


@pytest.mark.parametrize("seed", range(12))
def test_every_mode_gives_bit_equal_gradients(seed: int) -> None:
    expected = gradients(MODES["lean"], seed)
    assert any(expected)
    for mode in RECORDING:
        assert gradients(mode, seed) == expected, describe(mode)
        assert gradients(mode, seed, calls=3) == gradients(MODES["lean"], seed, calls=3)


@pytest.mark.parametrize("seed", range(6))
def test_every_mode_gives_bit_equal_second_derivatives(seed: int) -> None:
    def second(mode: MemoryMode) -> bytes:
        rng = np.random.default_rng(seed)
        leaves = [Variable(rng.normal(size=4)) for _ in range(3)]
        with using_mode(mode):
            y = random_graph(rng, leaves, operations=12)
            firsts = [g for g in ad.grad(y, leaves, create_graph=True) if g is not None]
            total = sum((g * g).sum() for g in firsts)
            found = ad.grad(total, leaves)
        return b"".join(b"" if g is None else g.tobytes() for g in found)

    expected = second(MODES["lean"])
    assert expected
    for mode in RECORDING:
        assert second(mode) == expected, describe(mode)


@pytest.mark.forward
@pytest.mark.parametrize("mode", [m for m in ALL_MODES if not m.enable_backprop], ids=describe)
def test_without_backprop_every_mode_computes_the_same_and_records_nothing(
    mode: MemoryMode,
) -> None:
    def value(mode: MemoryMode) -> Variable:
        rng = np.random.default_rng(0)
        with using_mode(mode):
            return random_graph(rng, [Variable(rng.normal(size=4))], operations=25)

    assert value(mode).data.tobytes() == value(MODES["lean"]).data.tobytes()
    assert value(mode).creator is None


def test_data_that_is_replaced_after_the_forward_changes_no_gradient() -> None:
    for mode in RECORDING:
        x = Variable(np.array([1.0, 2.0]))
        with using_mode(mode):
            y = ad.square(x)
            x.data = np.array([100.0, 200.0])
            y.backward()
        assert x.grad is not None
        assert x.grad.tolist() == [2.0, 4.0], describe(mode)


# Life and death, with the collector off -----------------------------------------------------------


def three_squares(mode: MemoryMode, backward: bool) -> tuple[list[weakref.ref[object]], Variable]:
    """A leaf, and weak references to all that a small graph on it is made of."""
    x = Variable(np.ones(8))
    with using_mode(mode):
        a = ad.square(x)
        b = ad.square(a)
        y = ad.square(b)
        alive = [weakref.ref(v) for v in (a, b, y)] + [weakref.ref(v.data) for v in (a, b, y)]
        alive += [weakref.ref(v.creator) for v in (a, b, y)]  # type: ignore[type-var]
        if backward:
            y.backward()
    return alive, x


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("mode", RECORDING, ids=describe)
def test_weak_graphs_die_by_reference_count_and_strong_ones_by_collection(
    mode: MemoryMode, backward: bool, collector_off: None
) -> None:
    alive, x = three_squares(mode, backward)
    left = [reference() for reference in alive if reference() is not None]
    if mode.output_refs == "weak":
        assert not left
        assert gc.collect() == 0
    else:
        assert len(left) == len(alive)
        del left
        assert gc.collect() > 0
        assert not any(reference() is not None for reference in alive)
    assert x.data.tolist() == [1] * 8


def test_a_weak_graph_dies_the_moment_the_last_outside_reference_goes(collector_off: None) -> None:
    for name in ("step17", "step18", "lean"):
        with using_mode(name):
            x = Variable(np.ones(8))
            y = ad.exp(ad.sin(x))
            z = y * 2
        died: list[str] = []
        weakref.finalize(y.creator, died.append, "exp")
        del y
        assert not died, f"{name}: z's graph still needs it"
        del z
        assert died == ["exp"], name


@pytest.mark.parametrize("name", ["step17", "step18"])
def test_inputs_modes_hold_intermediate_variables_and_lean_does_not(name: str) -> None:
    def held(mode: str) -> bool:
        with using_mode(mode):
            a = ad.sin(Variable(np.ones(3)))
            y = ad.exp(a)
        alive = weakref.ref(a)
        del a
        assert y.creator is not None
        return alive() is not None

    assert held(name)
    assert not held("lean")


@pytest.mark.parametrize("mode", [m for m in RECORDING if m.output_refs == "weak"], ids=describe)
def test_a_leaf_that_keeps_a_differentiable_gradient(mode: MemoryMode, collector_off: None) -> None:
    """x -> grad_var -> creator -> x is a cycle where Functions hold Variables; a Leaf is weak."""
    x = Variable(np.array(2.0))
    with using_mode(mode):
        y = x**3
        y.backward(create_graph=True)
    alive = weakref.ref(x)
    del x, y
    assert (alive() is None) == (mode.kept == "declared")
    gc.collect()
    assert alive() is None


def test_an_exception_that_is_dropped_leaves_nothing(collector_off: None) -> None:
    class Failing(Function):
        saves = (0,)

        def forward(self, x: np.ndarray) -> np.ndarray:
            return x * 1

        def backward(self, gy: np.ndarray) -> np.ndarray:
            raise ArithmeticError("on purpose")

    x = Variable(np.ones(8))
    y = ad.exp(Failing()(ad.sin(x)))
    alive = weakref.ref(y)
    with pytest.raises(ArithmeticError) as caught:
        y.backward()
    del y, caught
    gc.collect()  # pytest's own record of the exception holds frames in a cycle
    assert alive() is None


def test_a_list_of_losses_pins_no_arrays_that_were_released(collector_off: None) -> None:
    size = 100_000
    x = Variable(np.ones(size))
    with using_mode("lean"), traced() as bytes_now:
        losses = []
        before = bytes_now()
        for _ in range(10):
            loss = (ad.sin(ad.exp(x * 0.1))).sum()
            loss.backward()
            losses.append(loss)
        x.cleargrad()
        assert bytes_now() - before < size


# Bytes by formula ---------------------------------------------------------------------------------


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def peak_in_arrays(
    operation: Callable[[Variable], Variable], length: int, size: int, held: bool
) -> float:
    """The peak of a chain's forward and backward, x0 counted, in arrays of that size."""
    with using_mode("lean"), traced():
        x = Variable(np.full(size, 0.5))
        tracemalloc.reset_peak()

        def chain() -> Variable:
            y = x
            for _ in range(length):
                y = operation(y)
            return y

        if held:
            y = chain()
            y.backward()
        else:
            chain().backward()
        peak = tracemalloc.get_traced_memory()[1]
    return peak / (size * 8)


SIZES = [8 << 10, 40 << 10, 256 << 10]  # elements: 64 KiB, 320 KiB and 2 MiB, about NumPy's 256 KiB


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("length", [1, 2, 7, 20])
@pytest.mark.parametrize("operation", [ad.square, ad.sin, ad.cos, ad.log], ids=lambda f: f.__name__)
def test_lean_reaches_the_floor_of_chains_that_save_inputs(
    operation: Callable[[Variable], Variable], length: int, size: int
) -> None:
    """N + 2 arrays with the result dropped, N + 3 while the caller holds it; no temporaries."""
    if operation is ad.log:
        length = 1  # of 0.5, once
    slack = 0.2 if size > SIZES[0] else 0.4  # Functions and Variables, 64 KiB being not so much
    assert length + 2 <= peak_in_arrays(operation, length, size, held=False) < length + 2 + slack
    assert length + 3 <= peak_in_arrays(operation, length, size, held=True) < length + 3 + slack


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("length", [1, 2, 7, 20])
@pytest.mark.parametrize(
    "operation", [ad.tanh, ad.sigmoid, ad.tan, ad.sqrt], ids=lambda f: f.__name__
)
def test_lean_reaches_the_floor_of_chains_that_save_outputs(
    operation: Callable[[Variable], Variable], length: int, size: int
) -> None:
    """N + 3 arrays: x0, N outputs and two gradients; no temporaries."""
    slack = 0.2 if size > SIZES[0] else 0.4
    for held in (False, True):
        peak = peak_in_arrays(operation, length, size, held)
        assert length + 3 <= peak < length + 3 + slack


def cross_entropy(scores: Variable) -> Variable:
    return ad.softmax_cross_entropy(scores, np.zeros(len(scores), int))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("operation", "operands", "beside"),
    [
        (lambda x: x**3, 1, 0),
        (ad.relu, 1, 0),
        (ad.abs, 1, 0),
        (lambda x: ad.pow(x, 2), 1, 0),
        (ad.div, 2, 0),
        (ad.maximum, 2, 0.25),  # two masks
        (ad.minimum, 2, 0.25),
        (ad.mean_squared_error, 2, 0),
        (ad.logsumexp, 1, 0),
        (ad.log_softmax, 1, 0),
        (lambda x: cross_entropy(x.reshape(-1, 128)), 1, 0.02),  # which counts its rows
    ],
    ids=[
        *("cube", "relu", "abs", "square", "div", "maximum", "minimum", "mse", "lse"),
        *("log_softmax", "cross_entropy"),
    ],
)
def test_a_rule_needs_no_array_beside_its_gradients_at_any_size(
    operation: Callable[..., Variable], operands: int, beside: float, size: int
) -> None:
    """What NumPy casts goes through a buffer of 64 KiB, which does not grow with the arrays."""
    xs = [Variable(np.linspace(0.1, 0.9, size)) for _ in range(operands)]
    with using_mode("lean"), traced() as bytes_now:
        y = operation(*xs)
        function, gy = y.creator, np.ones(y.shape)
        assert function is not None
        function.backward(gy)
        before = bytes_now()
        tracemalloc.reset_peak()
        function.backward(gy)
        peak = tracemalloc.get_traced_memory()[1] - before
    assert peak <= (operands + beside) * 8 * size + (70_000 if beside else 4_000)


@pytest.mark.parametrize("length", [1, 10, 50])
def test_a_chain_that_saves_nothing_needs_no_more_arrays_for_more_operations(length: int) -> None:
    """x0, the result and two gradients; less while the result is not held."""
    assert peak_in_arrays(lambda y: y * 2, length, SIZES[1], held=True) < 4.3
    assert peak_in_arrays(lambda y: y * 2, length, SIZES[1], held=False) < 3.3


@pytest.mark.parametrize(
    ("name", "arrays"), [("step16", 22), ("step17", 22), ("step18", 13), ("lean", 13)]
)
def test_what_retain_grad_and_kept_cost_on_a_chain_of_ten(name: str, arrays: int) -> None:
    """x0, ten results, and two gradients in flight, or, retained, all eleven."""
    size = SIZES[1]
    with using_mode(name), traced():
        x = Variable(np.full(size, 0.5))
        y = x
        for _ in range(10):
            y = ad.tanh(y)
        y.backward()
        peak = tracemalloc.get_traced_memory()[1]
    assert arrays <= peak / (8 * size) < arrays + 0.5


def test_lean_is_empty_after_backward_and_step18_is_not() -> None:
    size = SIZES[1]

    def after(name: str) -> float:
        with using_mode(name), traced() as bytes_now:
            x = Variable(np.full(size, 0.5))
            y = x
            for _ in range(10):
                y = ad.sin(y)
            y.backward()
            return bytes_now() / (8 * size)

    assert 3 <= after("lean") < 3.2  # x, its gradient, and the result
    assert 12 <= after("step18") < 12.2  # and the ten that the graph keeps, less the result


def test_a_gradient_with_a_graph_is_copied_when_its_array_is_asked_for_and_not_before() -> None:
    size = SIZES[1]
    with using_mode("lean"), traced() as bytes_now:
        x = Variable(np.full(size, 0.5))
        ad.square(x).backward(create_graph=True)
        before = bytes_now()
        gx = x.grad
        assert x.grad is gx
        assert bytes_now() - before == pytest.approx(8 * size, rel=0.01)
    assert gx is not None
    assert x.grad_var is not None
    assert not np.shares_memory(gx, x.grad_var.data)


@pytest.mark.parametrize("held", [False, True], ids=["dropped", "held"])
def test_a_graph_that_nobody_holds_goes_rule_by_rule_under_create_graph_too(
    held: bool, collector_off: None
) -> None:
    alive: list[bool] = []

    class Witness(Function):
        saves = ()

        def forward(self, x: np.ndarray) -> np.ndarray:
            return x * 1

        def backward(self, gy: Variable) -> Variable:
            alive.append(last() is not None)
            return gy

    with using_mode("lean"):
        ys = [ad.neg(Witness()(Variable(np.ones(3))))]
        last = weakref.ref(ys[0].creator)
        (ys[0] if held else ys.pop()).backward(create_graph=True)
    assert alive == [held]


def test_retained_gradients_belong_to_their_variables() -> None:
    with using_mode(MemoryMode(retain_grad=True)):
        x = Variable(np.ones(3))
        a = ad.sin(x)
        y = (a * 2).sum()
        y.backward()
    assert a.grad is not None
    assert a.grad.tolist() == [2, 2, 2]
    assert y.grad is not None
    with using_mode("lean"):
        b = ad.sin(x)
        (b * 2).sum().backward()
    assert b.grad is None


# The size of the graph ----------------------------------------------------------------------------


def growth(operation: Callable[[Variable], Variable], arrays: int) -> tuple[float, float]:
    """Bytes and objects that the collector tracks, per operation, while the last result is held.

    arrays: how many each operation saves; they are left out.
    """
    x, operations = Variable(np.full(1, 0.5)), 1_000

    def chain() -> Variable:
        y = x
        for _ in range(operations):
            y = operation(y)
        return y

    with using_mode("lean"):
        chain()  # what the first run makes and keeps is none of the graph's
        objects = len(gc.get_objects())
        y = chain()
        objects = len(gc.get_objects()) - objects
        del y
        with traced() as bytes_now:
            before = bytes_now()
            y = chain()
            size = bytes_now() - before
        del y
    return size / operations - arrays * sys.getsizeof(x.data), objects / operations


@pytest.mark.parametrize(
    ("operation", "arrays"), [(ad.sin, 1), (ad.tanh, 1), (ad.neg, 0), (lambda y: y + 1, 0)]
)
def test_an_operation_is_two_objects_and_some_200_bytes(
    operation: Callable[[Variable], Variable], arrays: int, collector_off: None
) -> None:
    """The Function, its weak reference to its output, and the number of its generation."""
    size, objects = growth(operation, arrays)
    assert size < 230
    assert objects < 2.01


def test_a_number_that_the_rule_reads_is_kept_in_a_tuple(collector_off: None) -> None:
    size, objects = growth(lambda y: y * 0.5, 0)
    assert size < 290
    assert objects < 3.01
