"""Mutations of files: what damage, bad exports and attackers do to bytes, reproducible from a seed."""

from collections.abc import Callable

import numpy as np

Bytes = bytes
Random = np.random.Generator

HOSTILE_NUMBERS = (
    b"nan", b"-inf", b"1e400", b"-1e-400", b"0", b"-0.0", b"1e-9", b"99999999999999999999", b"-1", b"0.33333333",
    b"1e17", b"4294967296", b"?", b".", b"1.0(3)", b"0x10", b"1_000", b"\xef\xbc\x91",
)  # fmt: skip
TOKENS = (
    b"data_", b"loop_", b"_cell_length_a", b"_atom_site_label", b";\n", b"'", b'"', b"#", b"\0", b"\r", b"\n\n\n",
    b"{", b"}", b"[" * 400, b"]", b",", b":", b'"id": "\\ud800"', b'"lattice": null', b'"structure": {', b"Direct",
    b"Selective dynamics", b"Lattice=", b"Properties=species:S:1:pos:R:3", b"../", b"PK\x03\x04", b"PAR1", b"\xff\xfe",
    b"\xe2\x80\xa8", b"Qq", b"X", b"D", b"Fe3+", b"F m -3 m", b"'x,y,z'", b"1" * 5000, b" " * 5000,
)  # fmt: skip


def _at(random: Random, data: Bytes) -> int:
    return int(random.integers(0, len(data) + 1))


def flip_bytes(random: Random, data: Bytes) -> Bytes:
    """One to eight bytes become others."""
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 9))):
        if changed:
            changed[int(random.integers(len(changed)))] = int(random.integers(256))
    return bytes(changed)


def truncate(random: Random, data: Bytes) -> Bytes:
    """The file ends early."""
    return data[: _at(random, data)]


def splice_token(random: Random, data: Bytes) -> Bytes:
    """A token of some format stands where it does not belong."""
    where = _at(random, data)
    return data[:where] + TOKENS[int(random.integers(len(TOKENS)))] + data[where:]


def copy_range(random: Random, data: Bytes) -> Bytes:
    """A piece of the file stands a second time somewhere else."""
    a, b = sorted((_at(random, data), _at(random, data)))
    where = _at(random, data)
    return data[:where] + data[a : min(b, a + 2000)] + data[where:]


def delete_range(random: Random, data: Bytes) -> Bytes:
    """A piece is missing."""
    where = _at(random, data)
    return data[:where] + data[where + int(random.integers(1, 64)) :]


def mix_lines(random: Random, data: Bytes) -> Bytes:
    """Two lines change places, one is missing, or one is doubled."""
    lines = data.split(b"\n")
    i, j = int(random.integers(len(lines))), int(random.integers(len(lines)))
    kind = int(random.integers(3))
    if kind == 0:
        lines[i], lines[j] = lines[j], lines[i]
    elif kind == 1:
        del lines[i]
    else:
        lines.insert(j, lines[i])
    return b"\n".join(lines)


def replace_number(random: Random, data: Bytes) -> Bytes:
    """A number becomes a hostile one."""
    words = [word for word in data.split() if any(48 <= byte <= 57 for byte in word) and len(word) < 40]
    if not words:
        return flip_bytes(random, data)
    old = words[int(random.integers(len(words)))]
    parts = data.split(old)
    keep = int(random.integers(1, len(parts)))
    new = HOSTILE_NUMBERS[int(random.integers(len(HOSTILE_NUMBERS)))]
    return old.join(parts[:keep]) + new + old.join(parts[keep:])


MUTATIONS: tuple[Callable[[Random, Bytes], Bytes], ...] = (
    flip_bytes,
    truncate,
    splice_token,
    copy_range,
    delete_range,
    mix_lines,
    replace_number,
    replace_number,
)


def mutated(random: Random, data: Bytes) -> Bytes:
    """The data after one or two mutations."""
    for _ in range(int(random.integers(1, 3))):
        data = MUTATIONS[int(random.integers(len(MUTATIONS)))](random, data)
    return data
