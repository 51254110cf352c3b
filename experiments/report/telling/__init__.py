"""How a story is told: as a page, as findings, in the terminal, in a notebook."""
