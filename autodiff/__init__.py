"""Define-by-run automatic differentiation on NumPy."""
