"""PyTorch, on the processor, with one thread."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from experiments.bench.engines.engine import Array, Compute, Tape


class Engine(Tape):
    version = torch.__version__
    traced = False

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.sin, self.exp, self.tanh, self.square = torch.sin, torch.exp, torch.tanh, torch.square
        self.relu, self.sum, self.matmul = torch.relu, torch.sum, torch.matmul
        self.linear = lambda x, W, b: torch.addmm(b, x, W)
        self.cross_entropy = torch.nn.functional.cross_entropy

    def leaf(self, array: Array) -> Any:
        return torch.from_numpy(array.copy()).requires_grad_()

    def constant(self, array: Array) -> Any:
        return torch.from_numpy(array)

    def clear(self, leaf: Any) -> None:
        leaf.grad = None

    def backward(self, result: Any) -> None:
        if result.numel() == 1:
            result.backward()
        else:
            result.backward(torch.ones_like(result))

    def gradient(self, leaf: Any) -> Array:
        return np.asarray(leaf.grad.numpy())

    def newton(self, f: Compute, start: Array, steps: int) -> Array:
        x = self.leaf(start)
        points = []
        for _ in range(steps):
            (gx,) = torch.autograd.grad(f(x), x, create_graph=True)
            (gx2,) = torch.autograd.grad(gx, x)
            with torch.no_grad():
                x -= gx / gx2
            points.append(x.item())
        return np.array(points)
