"""Effective stiffness of periodic nets of beams, whole batches at a time.

Every node has three displacements and three rotations, periodic in the cell; a homogeneous strain is laid over them
(models/beam_lattice/frame.py). At equilibrium the energy of six unit strains is V C / 2. It is summed over struts from
what each of them suffers instead of being the difference of an affine and a relaxation term: every strut adds a
positive semidefinite part, and an error of the solution enters squared.

Source: R. Hutchinson and N. Fleck, J. Mech. Phys. Solids 54, 756 (2006) for periodic frames under a strain.
"""

from dataclasses import dataclass

import numpy as np

from models.beam_lattice.frame import SOLID_POISSON_RATIO, Frames, Joints, assembled
from models.beam_lattice.net import BeamNets, Floats
from models.tensors.voigt import mandel_to_stiffness_voigt, stiffness_voigt_to_mandel


@dataclass(frozen=True)
class EffectiveStiffness:
    """Stiffness of nets in units of Young's modulus of their solid.

    Attributes:
        stiffness_voigt: C_IJ / E_s in the frame of the lattice rows, shape [n_nets, 6, 6].
        axial_voigt: the part of it that is energy of stretched struts, shape [n_nets, 6, 6].
    """

    stiffness_voigt: Floats
    axial_voigt: Floats

    @property
    def stretching_share(self) -> Floats:
        """Share of the energy of each net's softest strain that is stretching, 0 to 1, shape [n_nets].

        About 1 where struts stretch under every strain (octet), about 0 where some strain only bends them (diamond).
        """
        values, vectors = np.linalg.eigh(stiffness_voigt_to_mandel(self.stiffness_voigt))
        softest = vectors[:, :, 0]
        axial = np.einsum("na,nab,nb->n", softest, stiffness_voigt_to_mandel(self.axial_voigt), softest)
        return np.asarray(axial / np.where(values[:, 0] > 0, values[:, 0], 1.0))


def homogenize(
    nets: BeamNets, joints: Joints = Joints.RIGID, poisson_ratio: Floats | float = SOLID_POISSON_RATIO
) -> EffectiveStiffness:
    """Effective stiffness of nets.

    Args:
        nets: validated.
        joints: rigid or pinned.
        poisson_ratio: of the solid, one or one per net, shape [n_nets].

    Returns:
        C / E_s of each net, its frame that of the lattice rows.
    """
    total, axial = np.zeros((nets.n_nets, 6, 6)), np.zeros((nets.n_nets, 6, 6))
    for frames in assembled(nets, joints, poisson_ratio):
        moved = np.empty((len(frames.net), 18, 6))
        moved[:, :12] = -_solved(frames, joints).reshape(-1, 6)[frames.rows]
        moved[:, 12:] = np.eye(6)
        deformed = frames.struts.shift @ moved
        for energy, spring in ((total, frames.struts.spring), (axial, frames.struts.stretch)):
            energy[frames.chosen] = frames.strain_sums(np.swapaxes(deformed, 1, 2) @ spring @ deformed)
    return EffectiveStiffness(mandel_to_stiffness_voigt(total), mandel_to_stiffness_voigt(axial))


def _solved(frames: Frames, joints: Joints) -> Floats:
    """What nodes do under each strain, up to the sign, [n, 6 size, 6].

    A frame moves freely as a whole and in no other way: a spring on the three translations makes its matrix regular and
    is never strained, because the drive does not push the net. Rows are scaled by their diagonals, since displacements
    are stiffer than rotations by (L / r)^2. The mechanisms of a truss stay at rest.
    """
    if joints is Joints.PINNED:
        values, vectors = np.linalg.eigh(frames.stiffness)
        held = values > 1e-9 * values[:, -1:]
        inverse = np.where(held, 1.0 / np.where(held, values, 1.0), 0.0)
        return np.asarray(vectors @ (inverse[:, :, None] * (np.swapaxes(vectors, 1, 2) @ frames.drive)))
    own = np.diagonal(frames.own, axis1=2, axis2=3).reshape(len(frames.chosen), -1)
    scale = 1.0 / np.sqrt(own)
    scaled = frames.stiffness * scale[:, :, None] * scale[:, None, :]
    whole = np.tile(np.eye(6)[:, :3], (frames.size, 1)) / scale[:, :, None]
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    scaled += whole @ np.swapaxes(whole, 1, 2)
    solution: Floats = np.linalg.solve(scaled, frames.drive * scale[:, :, None]) * scale[:, :, None]
    return solution
