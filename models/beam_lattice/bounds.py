"""Upper bounds of the stiffness of nets with rigid joints, from motions that are no equilibrium.

Any periodic motion of the nodes stores at least the energy of the equilibrium, so the stiffness that it gives is never
smaller. Both bounds are sums over struts and nodes: no system of equations of the whole cell is solved.
"""

from dataclasses import dataclass

import numpy as np

from models.beam_lattice.frame import SOLID_POISSON_RATIO, Frames, Joints, assembled
from models.beam_lattice.net import BeamNets, Floats
from models.tensors.voigt import mandel_to_stiffness_voigt

_NO_MOTION = 1e-10  # of the largest energy of six motions: what is below is rounding


def affine_stiffness(nets: BeamNets) -> Floats:
    """Stiffness of nets whose nodes follow the strain without rotating: Voigt's bound.

    It is exact where every node is a centre of inversion (simple cubic, bcc, octet).

    Args:
        nets: validated.

    Returns:
        C_IJ / E_s, shape [n_nets, 6, 6].
    """
    stiffness = np.zeros((nets.n_nets, 6, 6))
    for frames in assembled(nets, Joints.RIGID, SOLID_POISSON_RATIO):
        stiffness[frames.chosen] = frames.strain_sums(frames.struts.matrices[:, 12:, 12:])
    return mandel_to_stiffness_voigt(stiffness)


@dataclass(frozen=True)
class OneStep:
    """What one step of relaxation gives, and how much it leaves.

    Attributes:
        stiffness_voigt: C_IJ / E_s, a bound that is tighter than Voigt's, [n_nets, 6, 6].
        unbalanced: energy that each node alone would still release under the six strains, over what the mean node
            stores under them, [n_nodes]; zero at all nodes of a net that is in equilibrium.
    """

    stiffness_voigt: Floats
    unbalanced: Floats


def one_step(nets: BeamNets, poisson_ratio: float = SOLID_POISSON_RATIO) -> OneStep:
    """Stiffness and forces after one step of relaxation.

    Under each strain every node moves and rotates as if its neighbours were held where the strain takes them; of the
    six motions that this gives for the six strains each strain takes the mixture with the least energy (Ritz).

    Args:
        nets: validated.
        poisson_ratio: of the solid.

    Source: W. Ritz, J. reine angew. Math. 135, 1 (1909); the motions are a step of block Jacobi iteration.
    """
    stiffness, unbalanced = np.zeros((nets.n_nets, 6, 6)), np.zeros(len(nets.frac_coords))
    first = np.concatenate([[0], np.cumsum(nets.nodes_per_net)])
    for frames in assembled(nets, Joints.RIGID, poisson_ratio):
        n = len(frames.chosen)
        moves = -_alone(frames, frames.drive).reshape(n, -1, 6)
        energy = np.swapaxes(moves, 1, 2) @ frames.stiffness @ moves
        work = np.swapaxes(moves, 1, 2) @ frames.drive
        mixture = np.linalg.pinv(energy, rcond=_NO_MOTION, hermitian=True) @ work
        affine = frames.strain_sums(frames.struts.matrices[:, 12:, 12:])
        bound = affine - np.swapaxes(work, 1, 2) @ mixture / frames.size
        stiffness[frames.chosen] = bound
        force = frames.drive - frames.stiffness @ moves @ mixture
        released = (force.reshape(n, frames.size, 6, 6) * _alone(frames, force)).sum(axis=(2, 3))
        rows = first[frames.chosen][:, None] + np.arange(frames.size)
        unbalanced[rows] = released / np.trace(bound, axis1=1, axis2=2)[:, None]
    return OneStep(mandel_to_stiffness_voigt(stiffness), unbalanced)


def _alone(frames: Frames, force: Floats) -> Floats:
    """Motion of each node under forces [n, 6 size, 6] while all others are held, [n, size, 6, 6]."""
    return np.asarray(
        np.linalg.solve(frames.own, force.reshape(len(frames.chosen), frames.size, 6, 6)), dtype=np.float64
    )
