"""Stages that do anything, in sequences of checkpoints: gradients are those of the plain chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from chains import Stage, plainly, ways

import autodiff as ad
from autodiff import (
    MemoryMode,
    Variable,
    checkpoint,
    checkpoint_sequential,
    grad,
    using_config,
    using_mode,
)


def assert_plain(functions: list[Stage], how: dict[str, int], *others: Variable) -> None:
    """The result and the gradients, of x and of others that stages read, are the plain chain's."""

    def found(chain: Callable[[Variable], Variable]) -> list[bytes]:
        for other in others:
            other.cleargrad()
        start = Variable(np.linspace(0.1, 2, 7))
        y = chain(start * 1.5)
        ad.sum(y * start).backward()
        gradients = [b"" if v.grad is None else v.grad.tobytes() for v in (start, *others)]
        return [y.data.tobytes(), *gradients]

    plain = found(lambda x: plainly(functions, x))
    assert found(lambda x: checkpoint_sequential(functions, x, **how)) == plain


@ways
def test_stages_of_every_kind_have_the_gradients_of_the_plain_chain(
    how: dict[str, int], mode: MemoryMode
) -> None:
    w = Variable(np.linspace(1, 2, 7))
    scale = Variable(np.array(0.3))
    fixed = np.linspace(2, 1, 7)
    assert_plain([ad.sin, lambda x: x, ad.exp, lambda x: x], how)  # the same Variable
    viewed: list[Stage] = [lambda x: x.reshape(1, 7), ad.tanh, lambda x: x[0]]
    assert_plain([ad.sin, *viewed, ad.sin], how)
    assert_plain([lambda x: x * 2, lambda x: x + 1, lambda x: -x], how)  # nothing is read
    assert_plain([lambda x: x * w, lambda x: x / (w + x), lambda x: x * w * w], how, w)
    assert_plain([lambda x: x * ad.exp(scale), ad.sin, lambda x: x * ad.exp(scale)], how, scale)
    assert_plain(
        [ad.sin, lambda x: x * fixed, lambda x: ad.where(x > 0, x, x * fixed), ad.exp], how
    )
    assert_plain([lambda x: ad.stack([x, x * x]), lambda x: x[0] * ad.sin(x[1])], how)
    assert_plain([lambda x: sum(ad.split(x[:6] * x[1:], 2), x[:3]), ad.tanh, ad.sum], how)
    assert_plain([lambda x: x + ad.tanh(x * w) for _ in range(6)], how, w)
    assert_plain([lambda x: ad.standardize(x)[0] * w, ad.sin] * 3, how, w)


@ways
def test_stages_that_do_not_depend_on_their_input(how: dict[str, int], mode: MemoryMode) -> None:
    w = Variable(np.linspace(1, 2, 7))
    assert_plain([ad.sin, lambda x: w * w, ad.exp], how, w)
    assert_plain([ad.sin, lambda x: w, ad.exp, ad.sin], how, w)
    assert_plain([ad.sin, ad.exp, lambda x: ad.sin(w)], how, w)
    assert_plain([ad.sin, ad.exp, lambda x: w], how, w)
    assert_plain([ad.sin, lambda x: x.detach() * 2, lambda x: x * w, ad.exp], how, w)
    assert_plain([ad.sin, lambda x: x.detach()], how)


@ways
def test_stages_that_read_what_others_before_them_gave(
    how: dict[str, int], mode: MemoryMode
) -> None:
    passed: list[Variable] = []

    def gives(x: Variable) -> Variable:
        y = ad.sin(x)
        passed[:] = [y, ad.exp(y)]
        return y * x

    def takes(x: Variable) -> Variable:
        early, later = passed
        passed.clear()
        return x * early + later

    assert_plain([ad.tanh, gives, ad.sin, ad.exp, ad.tanh, takes, ad.sin], how)
    assert_plain([gives, ad.sin, lambda x: passed[0]], how)  # back to an earlier result


def setting_aside(aside: list[Variable], computed: Stage) -> Stage:
    """A stage that computes something more, which no stage after it reads."""

    def stage(x: Variable) -> Variable:
        aside.append(computed(x))
        return ad.sin(x)

    return stage


@ways
def test_a_stage_that_nobody_needs_for_the_result_may_be_read_outside(
    how: dict[str, int], mode: MemoryMode
) -> None:
    x = Variable(np.linspace(0.1, 2, 7))

    def gradients(chain: Callable[[list[Stage]], Variable]) -> list[bytes]:
        aside: list[Variable] = []
        stage = setting_aside(aside, lambda x: ad.exp(ad.tanh(x)) * x)
        y = chain([ad.tanh, stage, ad.exp, stage, ad.sin])
        return [g.tobytes() for g in grad(ad.sum(y) + ad.sum(aside[0] * aside[1]), x)]

    plain = gradients(lambda functions: plainly(functions, x))
    assert gradients(lambda functions: checkpoint_sequential(functions, x, **how)) == plain


@ways
def test_what_was_before_a_result_without_gradient_may_be_read_outside(
    how: dict[str, int], mode: MemoryMode
) -> None:
    x = Variable(np.linspace(0.1, 2, 7))

    def gradients(chain: Callable[[list[Stage]], Variable]) -> list[bytes]:
        aside: list[Variable] = []
        stage = setting_aside(aside, lambda x: ad.exp(ad.tanh(x)))
        y = chain([ad.tanh, stage, stage, lambda x: x.detach() * 2, ad.exp, ad.sin])
        found = grad(ad.sum(aside[0] * aside[1]) + ad.sum(y), x, retain_graph=True)
        return [g.tobytes() for g in (*found, *grad(aside[1], x))]

    plain = gradients(lambda functions: plainly(functions, x))
    assert gradients(lambda functions: checkpoint_sequential(functions, x, **how)) == plain


@ways
def test_gradients_of_gradients_are_bit_equal(how: dict[str, int], mode: MemoryMode) -> None:
    w = Variable(np.linspace(1, 2, 7))
    functions: list[Stage] = [ad.sin, lambda x: ad.exp(x * w), ad.tanh, lambda x: x / w, ad.sin]

    def derivatives(chain: Callable[[Variable], Variable]) -> list[bytes]:
        x = Variable(np.linspace(0.1, 2, 7))
        y = chain(x)
        first = grad(y, [x, w], create_graph=True)
        second = grad(sum(g * g for g in first), [x, w], create_graph=True)
        third = grad(sum(g * g for g in second), [x, w])
        return [g.data.tobytes() for g in (*first, *second)] + [g.tobytes() for g in third]

    plain = derivatives(lambda x: plainly(functions, x))
    assert derivatives(lambda x: checkpoint_sequential(functions, x, **how)) == plain


@ways
def test_a_stage_may_differentiate_inside(how: dict[str, int], mode: MemoryMode) -> None:
    def sloped(x: Variable) -> Variable:
        (g,) = grad(ad.sum(ad.sin(x) * x), x, create_graph=True)
        return x + g * 0.1

    functions: list[Stage] = [ad.tanh, ad.exp, sloped, ad.sin, sloped, ad.tanh]
    found = []
    for chain in (plainly, lambda fs, x: checkpoint_sequential(fs, x, **how)):
        x = Variable(np.linspace(0.1, 2, 7))
        (first,) = grad(chain(functions, x), x, create_graph=True)  # type: ignore[operator]
        (second,) = grad(ad.sum(first * first), x)
        found.append(first.data.tobytes() + second.tobytes())
    assert found[0] == found[1]


@ways
def test_a_graph_that_is_retained_gives_the_same_again(how: dict[str, int]) -> None:
    x = Variable(np.linspace(0.1, 2, 7))
    y = checkpoint_sequential([ad.sin, ad.exp, ad.tanh, ad.sin, ad.exp], x, **how)
    found = [grad(y, x, retain_graph=True)[0].tobytes() for _ in range(3)]
    assert len(set(found)) == 1


@ways
def test_an_input_that_wants_no_gradient(how: dict[str, int], mode: MemoryMode) -> None:
    w = Variable(np.linspace(1, 2, 7))
    functions: list[Stage] = [ad.sin, ad.exp, lambda x: x * w, ad.sin, ad.exp]
    found = []
    for chain in (plainly, lambda fs, x: checkpoint_sequential(fs, x, **how)):
        w.cleargrad()
        x = Variable(np.linspace(0.1, 2, 7), requires_grad=False)
        chain(functions, x).backward()  # type: ignore[operator]
        assert x.grad is None
        assert w.grad is not None
        found.append(w.grad.tobytes())
    assert found[0] == found[1]
    assert checkpoint_sequential([ad.sin], np.ones(3), segments=1).requires_grad is False


@ways
def test_it_stands_in_a_checkpoint_and_checkpoints_in_it_and_it_in_itself(
    how: dict[str, int], mode: MemoryMode
) -> None:
    inner: list[Stage] = [ad.sin, ad.exp, ad.tanh]

    def whole(x: Variable) -> Variable:
        return checkpoint_sequential(inner, x, **how)

    assert_plain([lambda x: checkpoint(whole, x), ad.sin], how)
    assert_plain([ad.sin, whole, ad.exp, whole, whole], how)
    assert_plain([ad.sin, lambda x: checkpoint(lambda x: ad.exp(ad.sin(x)), x), ad.tanh], how)
    x = Variable(np.linspace(0.1, 2, 7))
    (nested,) = grad(checkpoint(whole, x), x)
    (plain,) = grad(plainly(inner, x), x)
    assert np.array_equal(nested, plain)


@pytest.mark.parametrize(
    "keeper",
    [{"budget": 10**6}, {"packer": ad.Compressed()}],
    ids=lambda keeper: next(iter(keeper)),
)
@ways
def test_it_stands_in_a_graph_that_is_kept_in_another_way(
    how: dict[str, int], keeper: dict[str, Any]
) -> None:
    functions: list[Stage] = [ad.sin, ad.exp, ad.tanh, ad.sin]
    found = []
    for chain in (plainly, lambda fs, x: checkpoint_sequential(fs, x, **how)):
        x = Variable(np.linspace(0.1, 2, 7))
        ((name, value),) = keeper.items()
        with using_mode("lean"), using_config(name, value):
            y = ad.sum(ad.exp(chain(functions, ad.sin(x) * 1.5)) ** 2)  # type: ignore[operator]
            y.backward()
        assert x.grad is not None
        found.append(x.grad.tobytes())
    assert found[0] == found[1]
