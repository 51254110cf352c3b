"""NumPy, with each of its functions where the interpreter finds it soonest.

The interpreter notes where in a module it has found a name, but not where the module has a
`__getattr__`, as NumPy's does: each `np.cos` is then looked up anew, in 35 ns, a fifth of what it
takes on one number. This module has the same functions and no `__getattr__`.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy

if TYPE_CHECKING:
    import numpy as np
else:
    np = ModuleType("numpy", numpy.__doc__)
    vars(np).update({name: it for name, it in vars(numpy).items() if name != "__getattr__"})

__all__ = ["np"]
