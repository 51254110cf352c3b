"""How figures are put into words, and how the things they are of look, the same all over."""
