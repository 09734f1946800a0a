"""Which file of the product imports which, lazy imports included, and the circles in that.

import-linter sees circles between packages only where a contract names them; here every import statement counts, at
any depth of a file, because a lazy import that closes a circle binds two files just as much as one at the top.
"""

from collections.abc import Callable, Iterable, Mapping

from tests.architecture.source_tree import Import

Graph = Mapping[str, frozenset[str]]
"""Modules, and for each the modules that it imports."""


def import_graph(modules: Iterable[str], imports: Iterable[Import]) -> Graph:
    """The graph of imports between modules.

    Args:
        modules: dotted names of all files.
        imports: import statements; what they take may be a module or a name inside of one.
    """
    names = set(modules)
    graph: dict[str, set[str]] = {name: set() for name in names}
    for statement in imports:
        for target in statement.targets():
            # The longest prefix that is a file: `from db.store import ResultStore` is an import of db.store.
            module = target
            while module and module not in names:
                module = module.rpartition(".")[0]
            if module and module != statement.importer:
                graph[statement.importer].add(module)
    return {name: frozenset(imported) for name, imported in graph.items()}


def circles(graph: Graph) -> list[list[str]]:
    """Strongly connected components of more than one module: within each, every module imports every other one."""
    reachable = {name: _reachable(graph, name) for name in graph}
    components = {
        tuple(sorted(other for other in reachable[name] if name in reachable[other]))
        for name in graph
        if name in reachable[name]
    }
    return [list(component) for component in sorted(components)]


def _reachable(graph: Graph, start: str) -> set[str]:
    """Modules that a module imports, and those that these import, and so on; itself only by way of a circle."""
    reached: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(graph[name])
    return reached


def merged(graph: Graph, room_of: Callable[[str], str]) -> Graph:
    """The graph of rooms: what any file of one imports of any file of another."""
    rooms: dict[str, set[str]] = {}
    for name, imported in graph.items():
        rooms.setdefault(room_of(name), set()).update(map(room_of, imported))
    return {room: frozenset(imported - {room}) for room, imported in rooms.items()}
