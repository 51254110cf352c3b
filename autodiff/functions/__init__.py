"""Every operation: its Function, its lower-case function, and what Variable and NumPy call it.

elementwise   add, exp, where, ...       reductions   sum, max, logsumexp, ...
shapes        reshape, getitem, ...      products     matmul, tensordot, linear, ...
losses        softmax and losses         sliding      windows that slide over two axes
correlation   what a convolution layer computes
per_input     rules in one part for each input
operators     Variable's operators       numpy_protocol   NumPy's functions on Variables
"""

from autodiff.functions import operators as operators
from autodiff.functions.correlation import *
from autodiff.functions.elementwise import *
from autodiff.functions.losses import *
from autodiff.functions.products import *
from autodiff.functions.reductions import *
from autodiff.functions.shapes import *
from autodiff.functions.sliding import *
