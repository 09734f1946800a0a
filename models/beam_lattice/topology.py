"""Which nets are alike but for lengths, angles and radii: coordination sequences of their nodes.

The k-th entry of a node's sequence is the number of nodes that are k struts away. Sequences do not depend on cell,
geometry or order; isomorphic nets have the same ones. The reverse does not hold for all nets, which is the safe side
where nets of a test are kept out of training.

Source: O. Delgado-Friedrichs, M. O'Keeffe, O. M. Yaghi, Acta Cryst. A 59, 22 (2003).
"""

import hashlib
from collections import Counter
from functools import reduce
from math import gcd

import numpy as np

from models.beam_lattice.net import Ints, NetArrays
from models.crystals.crystal import rows_between

N_SHELLS = 4

_CELL_BITS, _CELLS = 10, 512  # a shell reaches fewer cells away
_NODE_BITS = 13
_NODES_AT_A_TIME = 1 << 9


def coordination_sequences(nets: NetArrays, n_shells: int = N_SHELLS) -> Ints:
    """Numbers of nodes 1 to n_shells struts away from each node, shape [n_nodes, n_shells]."""
    sequences = np.zeros((len(nets.frac_coords), n_shells), dtype=np.int64)
    # both directions of every strut, by the node at which they start
    start = nets.ends.T.ravel()
    order = np.argsort(start, kind="stable")
    end = nets.ends[:, ::-1].T.ravel()[order]
    step = np.concatenate([nets.image, -nets.image])[order]
    firsts = np.searchsorted(start[order], np.arange(len(sequences) + 1))
    for low in range(0, len(sequences), _NODES_AT_A_TIME):
        origin = np.arange(low, min(low + _NODES_AT_A_TIME, len(sequences)))
        node, cell, which = origin, np.zeros((len(origin), 3), np.int64), np.arange(len(origin))
        before, shell = np.zeros(0, np.int64), _packed(which, node - low, cell)
        for k in range(n_shells):
            struts, owner = rows_between(firsts, node)
            reached = _packed(which[owner], end[struts] - low, cell[owner] + step[struts])
            new, rows = np.unique(reached, return_index=True)
            # a strut leads to the shell before, within a shell, or to the next one
            is_new = ~np.isin(new, np.concatenate([before, shell]))
            rows = rows[is_new]
            node, cell, which = end[struts[rows]], cell[owner[rows]] + step[struts[rows]], which[owner[rows]]
            before, shell = shell, new[is_new]
            sequences[origin, k] = np.bincount(which, minlength=len(origin))
    return sequences


def _packed(which: Ints, node: Ints, cell: Ints) -> Ints:
    """One number for each place in the net around each origin; nodes count from the first origin, or before it."""
    place = (cell[:, 0] + _CELLS << 2 * _CELL_BITS) + (cell[:, 1] + _CELLS << _CELL_BITS) + cell[:, 2] + _CELLS
    return (which << 3 * _CELL_BITS + _NODE_BITS) + (node + (1 << _NODE_BITS - 1) << 3 * _CELL_BITS) + place


def net_signatures(nets: NetArrays) -> list[str]:
    """A text for each net, equal for isomorphic nets, whichever cell, lengths, angles and radii they have."""
    rows = coordination_sequences(nets)
    of_nets: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(nets.n_nets)]
    for net, row in zip(nets.net_of_node.tolist(), rows.tolist(), strict=True):
        of_nets[net][tuple(row)] += 1
    signatures = []
    for counts in of_nets:
        # a supercell has every sequence as many times more often
        divisor = reduce(gcd, counts.values())
        text = repr(sorted((sequence, n // divisor) for sequence, n in counts.items()))
        signatures.append(hashlib.sha256(text.encode()).hexdigest()[:16])
    return signatures
