"""Functions that are named as `module:function`, so that their module is imported by whoever calls them only."""

from importlib import import_module
from operator import attrgetter
from typing import Any


def load(target: str) -> Any:
    """The function or class that a text names; its module is imported now.

    Args:
        target: `module:name`, or `module:Class.method`. Only texts that stand in our own code: importing runs a module.
    """
    module, _, name = target.partition(":")
    return attrgetter(name)(import_module(module))
