"""In what kept arrays are held, where not as they are; keeping.py has what all keepers are.

packing     another form of them: half precision, compressed, in a file (packers)
budget      what fits into so many bytes; the rest is dropped and computed again when it is read
sequential  of a chain of functions what a schedule says; the rest is computed again in its order
values      arrays that can be computed again, and how
footprint   what an operation and its rule will allocate; ledger: what stands
"""
