"""Correction of the systematic softening of universal potentials.

Potentials that were trained on relaxation paths see few strained crystals and take the energy landscape for flatter
than it is: bulk moduli come out right, shear moduli a third too small in intermetallics and hardly at all in oxides.

Source: B. Deng et al., npj Comput. Mater. 11, 9 (2025), arXiv:2405.07105.
"""

import numpy as np

from models.crystals.crystal import Floats
from models.tensors.voigt import mandel_to_stiffness_voigt, stiffness_voigt_to_mandel

_VOLUMETRIC = np.zeros((6, 6))
_VOLUMETRIC[:3, :3] = 1 / 3
_DEVIATORIC = np.eye(6) - _VOLUMETRIC


def stiffened(stiffness_gpa: Floats, volumetric: Floats, deviatoric: Floats) -> Floats:
    """Stiffness whose volumetric and deviatoric parts are scaled, S C S with S = √v P_v + √d P_d.

    Commutes with every rotation and keeps the signs of all eigenvalues; of an isotropic crystal K is multiplied by v
    and G by d.

    Args:
        stiffness_gpa: C_IJ, shape [n_crystals, 6, 6].
        volumetric: factors v, shape [n_crystals].
        deviatoric: factors d, shape [n_crystals].
    """
    scale = np.sqrt(volumetric)[:, None, None] * _VOLUMETRIC + np.sqrt(deviatoric)[:, None, None] * _DEVIATORIC
    return mandel_to_stiffness_voigt(scale @ stiffness_voigt_to_mandel(stiffness_gpa) @ scale)


def softening(stiffness_gpa: Floats, label_gpa: Floats) -> tuple[Floats, Floats]:
    """Logarithms of the factors by which labels are stiffer, volumetric and deviatoric, [n_crystals] each.

    Args:
        stiffness_gpa: positive definite C_IJ, shape [n_crystals, 6, 6].
        label_gpa: likewise, of the same crystals.
    """
    difference = _logarithm(label_gpa) - _logarithm(stiffness_gpa)
    volumetric = np.einsum("nij,ji->n", difference, _VOLUMETRIC)
    return volumetric, np.einsum("nij,ji->n", difference, _DEVIATORIC) / 5


def carried(label_gpa: Floats, before_gpa: Floats, after_gpa: Floats) -> Floats:
    """A label changed as the potential's stiffness changes from one state of the crystal to another.

    The change is that of the matrix logarithms: positive definite stays positive definite, all of it turns with the
    crystal, and a factor by which the potential is off cancels.

    Args:
        label_gpa: positive definite C_IJ in the first state, shape [n_crystals, 6, 6].
        before_gpa: likewise by the potential, in the first state.
        after_gpa: likewise by the potential, in the second state.
    """
    values, vectors = np.linalg.eigh(_logarithm(label_gpa) + _logarithm(after_gpa) - _logarithm(before_gpa))
    return mandel_to_stiffness_voigt((vectors * np.exp(values)[:, None, :]) @ np.swapaxes(vectors, 1, 2))


def _logarithm(stiffness_gpa: Floats) -> Floats:
    """Matrix logarithm of stiffnesses in Mandel form, [n_crystals, 6, 6]."""
    values, vectors = np.linalg.eigh(stiffness_voigt_to_mandel(stiffness_gpa))
    logarithm: Floats = (vectors * np.log(values)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    return logarithm
