"""Who holds what, in words: why an object is still alive, and what a cycle is made of.

objgraph finds the way from an object back to something that a person knows: a module's global, a
class, a local variable of a function that runs. Who refers to whom it is told by the census, since
`gc.get_referrers` leaves out arrays in dicts, the base of a view, whatever was frozen, and local
variables. Nothing is collected meanwhile, and what comes back is words: none of it holds an object.
"""

from __future__ import annotations

import gc
import inspect
import reprlib
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import (
    CellType,
    CodeType,
    FrameType,
    FunctionType,
    GeneratorType,
    MemberDescriptorType,
    ModuleType,
    TracebackType,
)

import numpy as np

from experiments.census import (
    Array,
    Heap,
    collector_off,
    components,
    is_untracked_holder,
    objgraph_on,
    referents,
)

FROM_OUTSIDE = "held from outside: C code or a local variable"
WAITS = "waits for a collection in the cycle"
ARROW = " -> "
MOST_NAMES = 3  # of one object for another, in a label
FOLDED = (dict, list, tuple, set, frozenset, deque, CellType)  # part of whatever holds them

# What is read by name though it is no attribute that the object itself has a place for.
COMPUTED = {
    CellType: ("cell_contents",),
    BaseException: ("__traceback__", "__cause__", "__context__"),
    TracebackType: ("tb_next",),
    FunctionType: ("__defaults__", "__kwdefaults__"),
}

Predicate = Callable[[object], bool]
Kinds = tuple[tuple[str, int], ...]  # of a cycle's objects: how many of which type


# One reference ------------------------------------------------------------------------------------


def label(holder: object, target: object) -> str:
    """How an object refers to another: `.data`, `['W']`, `[3]`, `closure x`; "" if it does not.

    Several ways are listed. A function's closure and an object's or class's own dict belong to it.
    """
    found = list(dict.fromkeys(ways(holder, target)))
    more = [f"and {len(found) - MOST_NAMES} more"] if len(found) > MOST_NAMES else []
    return ", ".join(found[:MOST_NAMES] + more)


def ways(holder: object, target: object) -> Iterator[str]:
    """Each way in which an object refers to another, as `label` lists them.

    The object's dict is asked for only where no name is found that the class's own code speaks of,
    or code beside it: before it is asked for, there is none, and after that it stays.
    """
    found = [name for name, value in named_references(holder) if value is target]
    yield from found or (name for name, value in asked_for(holder) if value is target)


def named_references(
    holder: object, attributes: Callable[[type], Iterable[str]] | None = None
) -> Iterator[tuple[str, object]]:
    """What an object refers to by a name that can be known without asking it for its dict.

    attributes: those of a class, as `attribute_names` finds them, which takes its time.
    """
    match holder:
        case dict():
            yield from ((f"[{_key(key)}]", value) for key, value in holder.items())
            yield from (("[a key]", key) for key in holder)
        case list() | tuple() | deque():
            yield from ((f"[{i}]", item) for i, item in enumerate(holder))
        case set() | frozenset():
            yield from (("[an element]", item) for item in holder)
        case ModuleType():
            yield from ((f"global {name}", value) for name, value in vars(holder).items())
        case FrameType():
            yield from _locals(holder).items()
        case GeneratorType() if holder.gi_frame is not None:
            yield from named_references(holder.gi_frame)
        case type():
            yield from ((f".{name}", value) for name, value in vars(holder).items())
        case FunctionType():
            yield from ((f"closure {name}", value) for name, value in _closure(holder))
    if has_attributes(holder):
        names = (attributes or attribute_names)(type(holder))
        yield from ((f".{name}", value_of(holder, name)) for name in names if name != "__dict__")


def asked_for(holder: object) -> Iterator[tuple[str, object]]:
    """What is in the dict of an object, which is made where there was none."""
    namespace = value_of(holder, "__dict__") if has_attributes(holder) else None
    if type(namespace) is dict:
        yield from ((f".{name}", value) for name, value in namespace.items())


def has_attributes(holder: object) -> bool:
    return type(holder) not in (dict, list, tuple) and not isinstance(holder, ModuleType | type)


def _key(key: object) -> str:
    plain = isinstance(key, str | bytes | int | float | bool | None)
    return reprlib.repr(key) if plain else f"a {type(key).__name__}"


def _closure(function: FunctionType) -> Iterator[tuple[str, object]]:
    """The variables of outer functions that a function uses."""
    cells = function.__closure__ or ()
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue


def _locals(frame: FrameType) -> dict[str, object]:
    """The local variables of a frame, and how it names them."""
    outer, name = frame.f_code.co_freevars, frame.f_code.co_qualname
    return {
        f"{'closure' if n in outer else 'local'} {n} of {name}": x
        for n, x in values_of_frame(frame).items()
    }


def values_of_frame(frame: FrameType) -> dict[str, object]:
    """The local variables of a frame; nothing of them stays with the frame.

    Before Python 3.13 a frame keeps the dict that it gives, and with it what is in the variables.
    """
    found = frame.f_locals
    values = dict(found)
    mine = type(found) is dict and sys.getrefcount(found) <= 3  # the frame, `found` and this call
    if mine and _has_locals(frame):
        found.clear()
    return values


def attribute_names(cls: type) -> list[str]:
    """The attributes that objects of a class have a place for, or that its code speaks of."""
    bases = cls.__mro__
    places = [] if cls is FunctionType else list(_places(bases))
    places += [name for kind, names in COMPUTED.items() if issubclass(cls, kind) for name in names]
    if issubclass(cls, np.ndarray):
        places.append("base")
    if not cls.__dictoffset__:  # no dict, and so no attribute beside these
        return places
    spoken_of = {name for base in bases for name in _spoken_of(base)}
    own = spoken_of - {n for base in bases for n, x in vars(base).items() if hasattr(x, "__get__")}
    return [*places, *sorted(own)]


def _places(bases: Iterable[type]) -> Iterator[str]:
    """The names for which objects of a class have a place, as they do for slots."""
    for base in bases:
        yield from (n for n, x in vars(base).items() if isinstance(x, MemberDescriptorType))


def _spoken_of(cls: type) -> Iterator[str]:
    """The attributes that the methods of a class read or assign, and the functions beside it."""
    beside = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    for member in (*vars(cls).values(), *beside.values()):
        if isinstance(member, FunctionType):
            yield from _names_in(member.__code__)


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def value_of(holder: object, name: str) -> object:
    """The value of an attribute, of which no code of the class's author hears."""
    try:
        return object.__getattribute__(holder, name)
    except Exception:
        return None


# A way from one to another ------------------------------------------------------------------------


def spelt(cycle: Sequence[object]) -> str:
    """A cycle as a line: `Variable .creator -> Square .outputs[0] -> Variable`.

    cycle: the objects of a strongly connected component, in any order. Of several ways round in it
    the shortest is told that leads back to its first object that is not a mere container.
    """
    numbers = {id(node): i for i, node in reversed(list(enumerate(cycle)))}
    edges = [[numbers[id(r)] for r in referents(n) if id(r) in numbers] for n in cycle]
    start = next((i for i, node in enumerate(cycle) if not isinstance(node, FOLDED)), 0)
    way = [cycle[i] for i in _round(edges, start)]
    return ARROW.join([*_links(way), title(way[0])])


def cycles_spelt() -> dict[Kinds, str]:
    """A cycle of each shape that only a collection would free, as a line.

    It begins with the type that is the first by name, wherever in memory its objects are.
    """
    with collector_off():
        return _spelt_of_each_kind(Heap(gc.get_objects()))


def _spelt_of_each_kind(heap: Heap) -> dict[Kinds, str]:
    found: dict[Kinds, str] = {}
    for numbers in filter(heap.is_cycle, components(heap.edges, heap.unreachable())):
        cycle = sorted((heap.nodes[i] for i in numbers), key=lambda node: type(node).__name__)
        kinds = tuple(sorted(Counter(type(node).__name__ for node in cycle).items()))
        if kinds not in found:
            found[kinds] = spelt(cycle)
    return found


def _round(edges: Sequence[Sequence[int]], start: int) -> list[int]:
    """The shortest way from a node back to itself; the node alone where there is none."""
    before: dict[int, int] = {}
    queue = deque([start])
    while queue and start not in before:
        node = queue.popleft()
        for target in edges[node]:
            if target not in before:
                before[target] = node
                queue.append(target)
    way = [start]
    while start in before and (len(way) == 1 or way[-1] != start):
        way.append(before[way[-1]])
    return way[::-1]


def _links(way: Sequence[object], first: str = "") -> list[str]:
    """Each object on a way and how it holds the next; containers are part of what holds them.

    first: what the way's first object is called, where that is not its type.
    """
    links: list[str] = []
    at = 0
    while at < len(way) - 1:
        holder = way[at]
        told, after = _step(way, at)
        if at and links and isinstance(holder, FOLDED):
            links[-1] += told
        elif not at and first:
            links.append(first + (told if isinstance(holder, FOLDED) else ""))
            if not isinstance(holder, FOLDED):
                links.append(f"{title(holder)} {told}")
        else:
            links.append(f"{title(holder)} {told}")
        at = after
    return links or ([first] if first else [])


def _step(way: Sequence[object], at: int) -> tuple[str, int]:
    """How one object on a way refers to the next that it has a name for, and which that is.

    Between them may be what is its own: its dict, or a closure's tuple and cell.
    """
    for after in range(at + 1, min(at + 4, len(way))):
        if told := label(way[at], way[after]):
            return told, after
        if not isinstance(way[after], FOLDED):
            break
    return "(in a way without a name)", at + 1


def title(node: object) -> str:
    """What to call an object: by its type, but for what has a name of its own."""
    match node:
        case ModuleType():
            return f"module {node.__name__}"
        case type():
            return f"class {node.__module__}.{node.__qualname__}"
        case FunctionType():
            return f"function {node.__qualname__}"
        case FrameType():
            return f"frame of {node.f_code.co_qualname}"
        case GeneratorType():
            return f"generator {node.__qualname__}"
    return type(node).__name__


# Why something is alive ---------------------------------------------------------------------------


def why_alive(target: object) -> list[str]:
    """The links from something that a person knows to an object, each in words; the nearest first.

    For several objects, take_references once.
    """
    return take_references().why_alive(target)


def take_references() -> References:
    """All references that there are now. They hold every object, and so are not to be kept."""
    with collector_off():
        objects, variables = everything()
        return References(objects, {variable.holds: str(variable) for variable in variables})


@dataclass(frozen=True)
class Held:
    """An array, and what keeps it alive."""

    shape: tuple[int, ...]
    dtype: str
    bytes: int
    why: str


class References:
    """All references between some objects, a list that it takes over and that is older than it.

    variables: the names of what the local variables of functions hold that run, by its id.
    """

    def __init__(self, objects: list[object], variables: Mapping[int, str]) -> None:
        self._heap = Heap(objects)
        self._numbers = {id(node): i for i, node in enumerate(self._heap.nodes)}
        self._holders: list[list[int]] = [[] for _ in self._heap.nodes]
        for number, targets in enumerate(self._heap.edges):
            for target in targets:
                self._holders[target].append(number)
        self._known = {**dict(_globals(self._heap.nodes)), **variables}
        self._cycles: dict[int, list[int]] | None = None

    def arrays(self) -> list[Array]:
        """Every array that is alive and owns its data, the largest first."""
        found = (node for node in self._heap.nodes if isinstance(node, np.ndarray))
        return sorted((a for a in found if a.base is None), key=lambda a: -a.nbytes)

    def held(self, arrays: Iterable[Array]) -> list[Held]:
        """What keeps each of some arrays alive."""
        return [Held(a.shape, a.dtype.str, a.nbytes, ARROW.join(self.why_alive(a))) for a in arrays]

    def why_alive(self, target: object) -> list[str]:
        """The links from something that a person knows to an object, each in words."""

        def is_outside(node: object) -> bool:
            return node is not target and self._heap.outside[self._numbers[id(node)]] > 0

        with collector_off():
            if way := self._way(target, self._is_known):
                named = not isinstance(way[0], type)
                return _links(way, self._known.get(id(way[0]), "") if named else "")
            if way := self._way(target, is_outside):
                return [FROM_OUTSIDE, *_links(way)]
            if way := self._way(target, self._is_first_in_cycle) or self._way(
                target, self._is_in_cycle
            ):
                cycle = spelt([way[0], *self._cycle_of(way[0])])
                return [f"{WAITS} ({cycle})", *_links(way)]
        return [FROM_OUTSIDE]

    def _is_known(self, node: object) -> bool:
        return id(node) in self._known or isinstance(node, type)

    def _is_first_in_cycle(self, node: object) -> bool:
        """Whether an object is in a cycle, and no mere container that belongs to another."""
        return not isinstance(node, FOLDED) and self._is_in_cycle(node)

    def _is_in_cycle(self, node: object) -> bool:
        return bool(self._cycle_of(node))

    def _cycle_of(self, node: object) -> list[object]:
        """The objects of the cycle that waits for a collection and that an object is part of."""
        if self._cycles is None:
            garbage = self._heap.unreachable()
            cycles = filter(self._heap.is_cycle, components(self._heap.edges, garbage))
            self._cycles = {number: cycle for cycle in cycles for number in cycle}
        return [self._heap.nodes[i] for i in self._cycles.get(self._numbers[id(node)], ())]

    def _way(self, target: object, is_start: Predicate) -> list[object]:
        """The shortest way to an object from one of a kind; empty where there is none."""
        with objgraph_on(self._referrers) as objgraph:
            way: list[object] = objgraph.find_backref_chain(target, is_start, sys.maxsize)
        return way if is_start(way[0]) else []

    def _referrers(self, node: object) -> list[object]:
        number = self._numbers.get(id(node))
        holders = () if number is None else self._holders[number]
        return [self._heap.nodes[holder] for holder in holders]


@dataclass(frozen=True)
class Local:
    """A variable of a function that runs, and the id of what it holds.

    shared: whether functions within that one may use it too, which then hold it by a cell.
    """

    name: str
    function: str
    holds: int
    shared: bool
    outer: bool  # whether it is the variable of a function around this one

    def __str__(self) -> str:
        return f"{'closure' if self.outer else 'local'} {self.name} of {self.function}"


def everything(but: str = __name__) -> tuple[list[object], list[Local]]:
    """What the collector lists, or lists no more (it was frozen) but can be reached; all variables.

    but: the module, or package, whose own variables do not count.
    """
    variables, values = local_variables(but)
    found = gc.get_objects()
    _take_out(values, found)
    found += {id(value): value for value in values if is_untracked_holder(value)}.values()
    seen = set(map(id, found))
    fresh: list[object] = [*found, *map(vars, list(sys.modules.values())), *values]
    while fresh:
        modules = [vars(node) for node in fresh if isinstance(node, ModuleType)]
        others = [node for node in fresh if not isinstance(node, ModuleType)]
        reached = [*modules, *others, *gc.get_referents(*others)]
        new = {id(node): node for node in reached if gc.is_tracked(node)}
        fresh = [node for number, node in new.items() if number not in seen]
        seen.update(new)
        found += fresh
    return found, variables


def local_variables(but: str = __name__) -> tuple[list[Local], list[object]]:
    """The variables of the functions that run, and what each of them holds.

    To be asked for before the collector's list is: what that holds does not leave a frame again.
    but: the module, or package, whose own variables do not count.
    """
    variables: list[Local] = []
    values: list[object] = []
    for frame in _frames(but):
        for variable, value in _variables(frame):
            variables.append(variable)
            values.append(value)
    return variables, values


def _take_out(it: object, objects: list[object]) -> None:
    """Take an object off a list, of which it is one of the last."""
    for i in range(len(objects) - 1, -1, -1):
        if objects[i] is it:
            del objects[i]
            return


def _frames(but: str) -> list[FrameType]:
    """The functions that run, in every thread, but for those of a module or package."""
    stacks = sys._current_frames()
    stacks[threading.get_ident()] = sys._getframe(1)  # a frame that held itself would be a cycle
    found = []
    for stack in map(_outwards, stacks.values()):
        found += [f for f in stack if not _is_of(f, but) and _has_locals(f)]
    return found


def _is_of(frame: FrameType, package: str) -> bool:
    name = frame.f_globals.get("__name__", "")
    return name in (__name__, package) or str(name).startswith(f"{package}.")


def _variables(frame: FrameType) -> Iterator[tuple[Local, object]]:
    code = frame.f_code
    shared = {*code.co_cellvars, *code.co_freevars}
    for name, value in values_of_frame(frame).items():
        outer = name in code.co_freevars
        yield Local(name, code.co_qualname, id(value), name in shared, outer), value


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame, and those that called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _has_locals(frame: FrameType) -> bool:
    """Whether a frame is a function's: a module's names are its globals."""
    return bool(frame.f_code.co_flags & inspect.CO_OPTIMIZED)


def _globals(nodes: Iterable[object]) -> Iterator[tuple[int, str]]:
    """The ids and names of what modules hold, be they registered as such or not."""
    namespaces = {id(vars(m)): vars(m) for m in list(sys.modules.values())}
    namespaces |= {id(n): n for n in nodes if isinstance(n, dict) and "__builtins__" in n}
    for namespace in namespaces.values():
        module = namespace.get("__name__")
        yield from ((id(x), f"module {module}, global {n}") for n, x in namespace.items())
