"""What a process that reads foreign input gives up before it reads: network, programs, other processes, files, memory.

A parser may have a hole that a crafted file knows. `confine` is called in the child, once, and cannot be taken back:
a network namespace without any interface where the kernel grants one; Landlock where the kernel has it, so that even
native code writes to no file but below one folder and reaches no process outside; limits of memory and file size; and
everywhere an audit hook that refuses sockets and programs to Python code.
Source of the numbers: linux/landlock.h, linux/sched.h (Linux 6.18), the same on every architecture.
"""

import ctypes
import os
import resource
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000  # flags of unshare(2)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # system calls of Landlock
_NO_NEW_PRIVILEGES = 38  # of prctl(2)
_PATH_BENEATH = 1
# Rights to files, by their bits in Landlock: execute 0, write 1, remove 4 and 5, make 6 to 12 (8: a regular file).
_EXECUTE, _WRITE, _MAKE_REGULAR, _REFER, _TRUNCATE = 1 << 0, 1 << 1, 1 << 8, 1 << 13, 1 << 14
_CHANGING = _WRITE | sum(1 << bit for bit in range(4, 13))
_TCP = 0b11  # bind, connect; version 4
_SCOPES = 0b11  # abstract sockets, signals; version 6
_REFUSED_EVENTS = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "pty.")


@dataclass(frozen=True)
class Limits:
    """What a child may use.

    Attributes:
        cpu_s: seconds of processor time for one argument.
        wall_s: seconds for one argument by the clock, for children that sleep.
        memory_bytes: address space.
        file_bytes: largest file that it may write.
        folder: the only one below which it may write; "" for none.
    """

    cpu_s: float
    wall_s: float
    memory_bytes: int
    file_bytes: int = 0
    folder: str = ""


def leave_network() -> None:
    """Moves into a network namespace without any interface, where the kernel grants one.

    To be called first: the kernel refuses a new user namespace to a process that has threads already.
    """
    with suppress(AttributeError, OSError):
        unshare = ctypes.CDLL(None).unshare
        if unshare(_NEW_NETWORK) != 0:  # root only; others need a user namespace around it
            unshare(_NEW_NETWORK | _NEW_USER)


def confine(limits: Limits) -> None:
    """Takes everything else from this process; to be called after the last import."""
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(AttributeError, OSError):
        _enter_landlock(limits.folder)

    def refuse(event: str, _: tuple[Any, ...]) -> None:
        if event.startswith(_REFUSED_EVENTS):
            raise PermissionError(f"{event} is not allowed while foreign input is read")

    sys.addaudithook(refuse)  # cannot be removed again


def allow_cpu(seconds: float) -> None:
    """Lets this process use so much more processor time; beyond it the kernel ends it with SIGXCPU."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    total = int(used.ru_utime + used.ru_stime + seconds) + 1  # the kernel counts whole seconds
    resource.setrlimit(resource.RLIMIT_CPU, (total, resource.RLIM_INFINITY))


def _enter_landlock(folder: str) -> None:
    """Forbids this process to change files but plain ones below a folder, to run programs, to signal others.

    Each step fails where the kernel is older than what it asks for; then the other limits hold without it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return
    truncate = _TRUNCATE if version >= 3 else 0
    files = _EXECUTE | _CHANGING | truncate | (_REFER if version >= 2 else 0)
    rules = struct.pack(
        "<QQQ", files, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0
    )  # a kernel that knows fewer fields takes them as long as they are 0
    ruleset = libc.syscall(_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0)
    if ruleset < 0:
        return
    if folder:
        parent = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        rule = struct.pack("<Qi", _WRITE | _MAKE_REGULAR | truncate, parent)
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
        os.close(parent)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    libc.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
