"""The engine beside NumPy by hand and beside its peers: how long, how much memory, how many calls.

problems   what is computed, each stated once
floors     the same by hand, forward and backward: what no engine goes below
engines    how each engine is spoken to, a file for each
measuring  one measurement, checked first, in this process
weighing   what of it is memory
running    each in a process of its own, the engines taking turns
figures    medians, ratios within a round, exponents
table      what was found, for people and for programs
"""
