"""The problems by hand: forward and backward as one would write them with NumPy alone.

They share what can be shared, reuse what is their own, and keep what the derivative needs and
nothing else. What an engine takes beyond them is the price of not having had to write them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class ByHand:
    """Two functions: forward gives what backward needs, backward the gradients."""

    def __init__(
        self, inputs: Sequence[Array], forward: Callable[..., Any], backward: Callable[..., Any]
    ) -> None:
        self._inputs, self._forward, self.backward = inputs, forward, backward

    def forward(self) -> Any:
        return self._forward(*self._inputs)

    def gradients(self, found: Any) -> list[Array]:
        return [np.asarray(gradient) for gradient in found]


def goldstein_price(inputs: Sequence[Array]) -> ByHand:
    def forward(x: Array, y: Array) -> Any:
        a = x + y + 1
        b = 19 - 14 * x + 3 * x**2 - 14 * y + 6 * x * y + 3 * y**2
        c = 2 * x - 3 * y
        d = 18 - 32 * x + 12 * x**2 + 48 * y - 36 * x * y + 27 * y**2
        aa, cc = a**2, c**2
        p, q = 1 + aa * b, 30 + cc * d
        return p * q, (x, y, a, b, c, d, aa, cc, p, q)

    def backward(held: Any) -> Any:
        _, (x, y, a, b, c, d, aa, cc, p, q) = held
        of_p = q * (2 * a * b + aa * (6 * (x + y) - 14))  # by x and by y alike
        cd = 2 * c * d
        gx = of_p + p * (2 * cd + cc * (24 * x - 36 * y - 32))
        gy = of_p + p * (cc * (54 * y - 36 * x + 48) - 3 * cd)
        return gx, gy

    return ByHand(inputs, forward, backward)


def chain(inputs: Sequence[Array], length: int) -> ByHand:
    def forward(y: Array) -> Any:
        saved = []
        for _ in range(length):
            saved.append(y)
            y = np.sin(y)
        return y, saved

    def backward(held: Any) -> Any:
        y, saved = held
        g = np.ones_like(y)
        for x in reversed(saved):
            g = g * np.cos(x)
        return (g,)

    return ByHand(inputs, forward, backward)


def wide(inputs: Sequence[Array], factors: Sequence[float]) -> ByHand:
    def forward(x: Array) -> Any:
        saved = []
        y = np.zeros_like(x)
        for c in factors:
            u = c * x
            saved.append(u)
            y += np.sin(u)
        return y, saved

    def backward(held: Any) -> Any:
        y, saved = held
        g = np.zeros_like(y)
        for c, u in zip(factors, saved, strict=True):
            g += c * np.cos(u)
        return (g,)

    return ByHand(inputs, forward, backward)


def ladder(inputs: Sequence[Array], rungs: int, c: float, s: float) -> ByHand:
    def forward(a: Array, b: Array) -> Any:
        for _ in range(rungs):
            a, b = c * a - s * b, s * a + c * b
        return a + b

    def backward(held: Any) -> Any:
        ga = gb = np.ones_like(held)
        for _ in range(rungs):
            ga, gb = c * ga + s * gb, c * gb - s * ga
        return ga, gb

    return ByHand(inputs, forward, backward)


def residual(inputs: Sequence[Array], links: int) -> ByHand:
    step = 1 / links

    def forward(y: Array) -> Any:
        saved = []
        for _ in range(links):
            saved.append(y)
            y = y + step * np.sin(y)
        return y, saved

    def backward(held: Any) -> Any:
        y, saved = held
        g = np.ones_like(y)
        for x in reversed(saved):
            g = g + step * g * np.cos(x)
        return (g,)

    return ByHand(inputs, forward, backward)


def arrays(inputs: Sequence[Array], names: Sequence[str]) -> ByHand:
    """In place wherever the array is its own: a tanh that has been used becomes its derivative."""

    def forward(x: Array) -> Any:
        y, saved = x, []
        for name in names:
            if name == "square":
                saved.append(y)
                y = y * y
            else:
                y = np.tanh(y) if name == "tanh" else np.exp(y)
                saved.append(y)
        return y, saved

    def backward(held: Any) -> Any:
        y, saved = held
        g = np.ones_like(y)
        for name in reversed(names):
            kept = saved.pop()
            if name == "square":
                g *= kept
                g *= 2
            elif name == "exp":
                g *= kept
            else:
                np.multiply(kept, kept, out=kept)
                np.subtract(1, kept, out=kept)
                g *= kept
        return (g,)

    return ByHand(inputs, forward, backward)


def square_loop(inputs: Sequence[Array]) -> ByHand:
    def forward(x: Array) -> Any:
        u = x * x
        v = u * u
        return v * v, (x, u, v)

    def backward(held: Any) -> Any:
        _, (x, u, v) = held
        g = 2 * v
        g *= 2 * u
        g *= 2 * x
        return (g,)

    return ByHand(inputs, forward, backward)


def mlp(inputs: Sequence[Array], x: Array, classes: Array) -> ByHand:
    rows = np.arange(len(x))

    def forward(W1: Array, b1: Array, W2: Array, b2: Array) -> Any:
        h = x @ W1
        h += b1
        np.maximum(h, 0, out=h)
        scores = h @ W2
        scores += b2
        scores -= scores.max(axis=1, keepdims=True)
        right = scores[rows, classes]
        np.exp(scores, out=scores)
        total = scores.sum(axis=1, keepdims=True)
        loss = (np.log(total[:, 0]) - right).mean()
        scores /= total
        return [loss, h, scores, W2]

    def backward(held: Any) -> Any:
        _, h, g, W2 = held
        held.clear()
        g[rows, classes] -= 1
        g /= len(g)
        gW2 = h.T @ g
        gh = g @ W2.T
        gh *= h > 0
        del h
        return x.T @ gh, gh.sum(axis=0), gW2, g.sum(axis=0)

    return ByHand(inputs, forward, backward)


def rnn(inputs: Sequence[Array], sequence: Array, target: Array) -> ByHand:
    def forward(Wx: Array, Wh: Array, b: Array, Wy: Array) -> Any:
        h = np.zeros((sequence.shape[1], len(Wh)), Wh.dtype)
        saved = [h]
        for x in sequence:
            a = h @ Wh
            a += x @ Wx
            a += b
            h = np.tanh(a, out=a)
            saved.append(h)
        error = h @ Wy
        error -= target
        return (error * error).sum(), saved, error, Wh, Wy

    def backward(held: Any) -> Any:
        _, saved, error, Wh, Wy = held
        error *= 2
        h = saved.pop()
        gWy = h.T @ error
        gWx, gWh, gb = None, np.zeros_like(Wh), np.zeros(len(Wh), Wh.dtype)
        gh = error @ Wy.T
        for x in sequence[::-1]:
            np.multiply(h, h, out=h)
            np.subtract(1, h, out=h)
            gh *= h
            h = saved.pop()
            gWx = x.T @ gh if gWx is None else np.add(gWx, x.T @ gh, out=gWx)
            gWh += h.T @ gh
            gb += gh.sum(axis=0)
            gh = gh @ Wh.T
        return gWx, gWh, gb, gWy

    return ByHand(inputs, forward, backward)


def newton(start: Array, steps: int) -> Array:
    """The points that Newton's method passes on the way to where x**4 - 2 x**2 is least."""
    x, points = start, []
    for _ in range(steps):
        x = x - (4 * x**3 - 4 * x) / (12 * x**2 - 4)
        points.append(x)
    return np.array(points)
