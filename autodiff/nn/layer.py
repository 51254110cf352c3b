"""Layer: what has parameters, and finds them by the attributes that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from autodiff import Variable, count_in_budget
from autodiff.nn.initialisers import Array


class Parameter(Variable):
    """A Variable that training changes. Without data it is made when its layer is first used.

    Source: step 44 of the book.
    """

    __slots__ = ()


class Layer:
    """A function with parameters: those among its attributes, and those of layers among them.

    An attribute may also be a list or a tuple of parameters and layers. A subclass defines
    `forward`. `kept` names attributes that are arrays and no parameters, and are saved with them.
    Source: steps 44 and 45 of the book.
    """

    kept: ClassVar[tuple[str, ...]] = ()

    def __call__(self, *inputs: Any) -> Any:
        count_in_budget(self)
        return self.forward(*inputs)

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def params(self) -> Iterator[Parameter]:
        """Its parameters in the order of their attributes, each once, also where two share one."""
        found = {id(parameter): parameter for _, parameter in self.named_params()}
        return iter(found.values())

    def named_params(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Its parameters and their names, such as `hidden/0/W`."""
        for layer_name, layer in self.layers(prefix):
            for name, value in _within(layer, layer_name):
                if isinstance(value, Parameter):
                    yield name, value

    def layers(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Itself and every layer in it, with names: each before those that are in it."""
        yield prefix, self
        for name, value in _within(self, prefix):
            if isinstance(value, Layer):
                yield from value.layers(f"{name}/")

    def cleargrads(self) -> None:
        """Forget the gradient of every parameter."""
        for parameter in self.params():
            parameter.cleargrad()

    # Saved ------------------------------------------------------------------------------------

    def weights(self) -> dict[str, Array | None]:
        """The arrays of its parameters, and those that are kept beside them, by name."""
        found: dict[str, Array | None] = {
            name: parameter.data for name, parameter in self.named_params()
        }
        for prefix, layer in self.layers():
            found |= {f"{prefix}{name}": getattr(layer, name) for name in layer.kept}
        return found

    def save_weights(self, path: str | PathLike[str]) -> None:
        """Write its weights to an npz file. Source: step 53 of the book.

        Raises ValueError where one has no data yet.
        """
        weights = self.weights()
        for name, array in weights.items():
            if array is None:
                raise ValueError(f"{name} has no data yet: use the layer once before saving it")
        with Path(path).open("wb") as file:  # so that the name stays as it is given
            np.savez(file, **weights)  # type: ignore[arg-type]

    def load_weights(self, path: str | PathLike[str]) -> None:
        """Read its weights from an npz file, in place; nothing changes where one does not fit.

        Raises ValueError where a name or a shape differs.
        """
        with np.load(path, allow_pickle=False) as file:
            found = dict(file)
        self._check_weights(found, path)
        for name, parameter in self.named_params():
            dtype = found[name].dtype if parameter.data is None else parameter.dtype
            parameter.data = found[name].astype(dtype)
        for prefix, layer in self.layers():
            for name in layer.kept:
                setattr(layer, name, found[f"{prefix}{name}"])

    def _check_weights(self, found: Mapping[str, Array], path: str | PathLike[str]) -> None:
        mine = self.weights()
        missing, strange = mine.keys() - found.keys(), found.keys() - mine.keys()
        for names, where in ((missing, "not in"), (strange, "only in")):
            if names:
                raise ValueError(f"{', '.join(sorted(names))}: {where} {path}: another model's?")
        for name, array in mine.items():
            if array is not None and array.shape != found[name].shape:
                raise ValueError(
                    f"{name}: shape {found[name].shape} in {path}, and {array.shape} here"
                )


def _within(layer: Layer, prefix: str) -> Iterator[tuple[str, Any]]:
    """The attributes of a layer, and the items of those that are lists or tuples."""
    for name, value in vars(layer).items():
        if isinstance(value, list | tuple):
            yield from ((f"{prefix}{name}/{i}", item) for i, item in enumerate(value))
        else:
            yield prefix + name, value
