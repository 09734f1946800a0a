"""Loops over arrays as machine code: `@compiled` above a plain typed function.

numba is imported, and a function compiled, when it is called for the first time: a command that computes nothing pays
for neither. The machine code is kept on disk in NUMBA_CACHE_DIR, beside the module, or in the user's cache folder;
where that cannot be written, each process compiles.

What a compiled function needs:

* arguments of one type each: contiguous float64, int64 and bool arrays, floats, integers. Each other combination of
  types is compiled once more, and so is each other whole number that a compiled caller writes out as a constant: give
  it as a float, or in a variable;
* plain loops: an expression of arrays, a sort or a sum over an axis takes ten times as long to compile;
* the compiled functions and constants that it uses in its own file: by the content of this file numba knows when to
  compile again. What comes from another module is an argument;
* sums in an order that depends on nothing but the crystal. Operations are neither reordered nor fused, so results that
  enter ids are the same on every machine. A division by zero gives an infinity, as in numpy. Features of a network, of
  which nothing hangs on the last bit, go through `@vectorized`: several sums at a time, and no thought of NaN.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, wraps
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_COMPILED = "_is_compiled"


def compiled(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """The same function as machine code, compiled at its first call.

    Args:
        function: of a module; it may call other compiled functions of the same file.
    """
    return _compiled_at_first_call(function, in_order=True)


def vectorized(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """The same with sums in any order and operations fused, as vector instructions want it."""
    return _compiled_at_first_call(function, in_order=False)


def _compiled_at_first_call(
    function: Callable[_Arguments, _Result], *, in_order: bool
) -> Callable[_Arguments, _Result]:
    @wraps(function)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            result: _Result = _dispatcher(function, in_order=in_order, is_kept=True)(*args, **kwargs)
        except OSError:  # nothing but the writing of machine code raises it: the disk is full
            result = _dispatcher(function, in_order=in_order, is_kept=False)(*args, **kwargs)
        return result

    setattr(call, _COMPILED, "in order" if in_order else "vectorized")
    return call


@cache
def _dispatcher(function: Callable[..., Any], *, in_order: bool, is_kept: bool, is_called: bool = False) -> Any:
    """What numba makes of a function and of the compiled functions that it calls, kept on disk or not.

    One that another compiled function calls is part of its machine code: it is not kept by itself, and needs no entry
    for Python, whose compilation takes as long as a small loop.
    """
    from numba import njit

    code, names = function.__code__, dict(function.__globals__)
    for name in _names(code):
        called: Any = names.get(name)
        if hasattr(called, _COMPILED):
            if called.__wrapped__.__code__.co_filename != code.co_filename:
                raise TypeError(
                    f"{function.__name__} calls {name} of another file: a change there would leave old machine code "
                    "in use here. Move one of them beside the other."
                )
            called_in_order = getattr(called, _COMPILED) == "in order"
            names[name] = _dispatcher(called.__wrapped__, in_order=called_in_order, is_kept=is_kept, is_called=True)
    plain = FunctionType(code, names, function.__name__, function.__defaults__, function.__closure__)
    options = {"error_model": "numpy", "fastmath": not in_order, "no_cfunc_wrapper": True}
    dispatcher: Any = njit(**options, no_cpython_wrapper=is_called)(plain)
    if is_kept and not is_called:
        with suppress(RuntimeError):  # there is no folder that can be written
            dispatcher.enable_caching()
            dispatcher._cache = _LockedCache(dispatcher._cache)  # numba offers no other place
    return dispatcher


class _LockedCache:
    """numba's machine code on disk, read and written by one process at a time.

    Two processes that compile one function for different types would both take the next free file: a third one, which
    has read the list of files between, would run code for other types than it passes.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *arguments: Any) -> Any:
        """What `FunctionCache.load_overload` gives."""
        with self._locked():
            return self._cache.load_overload(*arguments)

    def save_overload(self, *arguments: Any) -> None:
        """As `FunctionCache.save_overload`."""
        with self._locked():
            self._cache.save_overload(*arguments)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = Path(self._cache.cache_path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = (folder / ".numba-lock").open("a", encoding="utf-8")
        except OSError:  # read-only: nobody writes
            yield
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _names(code: CodeType) -> set[str]:
    """Names of globals in a function, also in its comprehensions."""
    names = set(code.co_names)
    for constant in code.co_consts:
        names |= _names(constant) if isinstance(constant, CodeType) else set()
    return names
