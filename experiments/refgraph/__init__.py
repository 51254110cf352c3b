"""The reference graph of live objects: who holds whom, by which attribute, and what dies with what.

model      the graph as plain data
"""
