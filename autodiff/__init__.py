"""Define-by-run automatic differentiation on NumPy, with a switch for what the graph keeps alive.

    >>> import numpy as np
    >>> from autodiff import Variable
    >>> x = Variable(np.array(3.0))
    >>> y = x**2 + 2 * x
    >>> y.backward()
    >>> x.grad
    array(8.)

variable    Variable, grad: an array, its gradient, and where it comes from
graph       Function: what a computation records
gradients   the backward pass over it
memory      MemoryMode, MODES: what the graph keeps alive, until when
config      Config, using_config, using_mode, no_grad: what is in force; through_apply
functions   every operation, from abs to where; NumPy's functions on Variables are these, too
checkpoint  recompute a part of the graph instead of keeping it
budget      using_config("budget", BYTES): drop what is kept, and compute it again
draws       the random numbers of such a part, drawn again
sequential  checkpoint_sequential: a chain within a budget, or in segments
packing     Packer: in what form kept arrays stand between forward and backward
packers     Half, Compressed, Disk
derivatives jacobian, hessian, hvp, vjp: derivatives of a function
gradcheck   numerical_diff, gradient_check: gradients against finite differences
arrays      what the engine asks of plain arrays
nn          layers, optimizers, data: import it by its own name
"""

from autodiff.arrays import as_array
from autodiff.checkpoint import checkpoint, recomputing, replayed
from autodiff.config import (
    Config,
    no_grad,
    test_mode,
    through_apply,
    using_config,
    using_mode,
)
from autodiff.derivatives import hessian, hvp, jacobian, vjp
from autodiff.functions import *
from autodiff.gradcheck import gradient_check, numerical_diff
from autodiff.graph import Function
from autodiff.keepers.budget import count_in_budget, make_room
from autodiff.keepers.packers import Compressed, Disk, Half
from autodiff.keepers.packing import Packer
from autodiff.keepers.sequential import checkpoint_sequential
from autodiff.keeping import BudgetError
from autodiff.memory import MODES, MemoryMode
from autodiff.variable import Variable, as_variable, grad

__all__ = [
    "MODES",
    "BudgetError",
    "Compressed",
    "Config",
    "Disk",
    "Function",
    "Half",
    "MemoryMode",
    "Packer",
    "Variable",
    "abs",
    "add",
    "as_array",
    "as_variable",
    "astype",
    "broadcast_to",
    "checkpoint",
    "checkpoint_sequential",
    "clip",
    "concatenate",
    "correlate",
    "cos",
    "count_in_budget",
    "div",
    "dot",
    "exp",
    "expand_dims",
    "getitem",
    "grad",
    "gradient_check",
    "hessian",
    "hvp",
    "jacobian",
    "leaky_relu",
    "linear",
    "log",
    "log_softmax",
    "logsumexp",
    "make_room",
    "matmul",
    "max",
    "maximum",
    "mean",
    "mean_squared_error",
    "min",
    "minimum",
    "mul",
    "neg",
    "no_grad",
    "numerical_diff",
    "overlay",
    "pad",
    "pow",
    "rdiv",
    "recomputing",
    "relu",
    "replayed",
    "reshape",
    "rmatmul",
    "rpow",
    "rsub",
    "sigmoid",
    "sin",
    "softmax",
    "softmax_cross_entropy",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "standardize",
    "sub",
    "sum",
    "sum_to",
    "swapaxes",
    "tan",
    "tanh",
    "tensordot",
    "test_mode",
    "through_apply",
    "transpose",
    "using_config",
    "using_mode",
    "var",
    "vjp",
    "where",
    "windows",
]
