"""Every operation: its Function, its lower-case function, and what Variable and NumPy call it.

elementwise   add, exp, where, ...       reductions   sum, max, logsumexp, ...
shapes        reshape, getitem, ...      products     matmul, tensordot, linear, ...
losses        softmax and losses         per_input    rules in one part for each input
operators     Variable's operators       numpy_protocol   NumPy's functions on Variables
"""

from autodiff.functions import elementwise, losses, products, reductions, shapes
from autodiff.functions import operators as operators
from autodiff.functions.elementwise import *
from autodiff.functions.losses import *
from autodiff.functions.products import *
from autodiff.functions.reductions import *
from autodiff.functions.shapes import *

__all__: list[str] = []
__all__ += elementwise.__all__
__all__ += losses.__all__
__all__ += products.__all__
__all__ += reductions.__all__
__all__ += shapes.__all__
