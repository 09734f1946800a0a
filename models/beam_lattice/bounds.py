"""Upper bounds of the stiffness of nets with rigid joints, from motions that are no equilibrium.

Any periodic motion of the nodes stores at least the energy of the equilibrium, so the stiffness that it gives is never
smaller. Both bounds are sums over struts and nodes: no system of equations of the whole cell is solved.
"""

import numpy as np

from models.beam_lattice.frame import SOLID_POISSON_RATIO, Joints, assembled
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


def one_step_stiffness(nets: BeamNets, poisson_ratio: float = SOLID_POISSON_RATIO) -> Floats:
    """Stiffness after one step of relaxation: a tighter bound.

    Under each strain every node moves and rotates as if its neighbours were held where the strain takes them; of the
    six motions that this gives for the six strains each strain takes the mixture with the least energy (Ritz).

    Args:
        nets: validated.
        poisson_ratio: of the solid.

    Returns:
        C_IJ / E_s, shape [n_nets, 6, 6].

    Source: W. Ritz, J. reine angew. Math. 135, 1 (1909); the motions are a step of block Jacobi iteration.
    """
    stiffness = np.zeros((nets.n_nets, 6, 6))
    for frames in assembled(nets, Joints.RIGID, poisson_ratio):
        n = len(frames.chosen)
        moves = -np.linalg.solve(frames.own, frames.drive.reshape(n, frames.size, 6, 6)).reshape(n, -1, 6)
        energy = np.swapaxes(moves, 1, 2) @ frames.stiffness @ moves
        work = np.swapaxes(moves, 1, 2) @ frames.drive
        gain = np.swapaxes(work, 1, 2) @ np.linalg.pinv(energy, rcond=_NO_MOTION, hermitian=True) @ work
        affine = frames.strain_sums(frames.struts.matrices[:, 12:, 12:])
        stiffness[frames.chosen] = affine - gain / frames.size
    return mandel_to_stiffness_voigt(stiffness)
