"""What ions add to the static dielectric and the piezoelectric tensor, from force constants and Born effective charges.

A field E pulls atom κ with the force Z*ᵀ E, a strain η with Λ η; both are balanced by Φ u. The displacements carry the
polarization Z* u / V, so that the parts of both tensors that electrons at fixed ions do not have are

    ε0 - ε∞ = Z* Φ⁻¹ Z*ᵀ / (ε_vac V),    e - e_clamped = Z* Φ⁻¹ Λ / V.

The strain is one at fixed fractional coordinates, so that e is the proper piezoelectric tensor. Translations have no
curvature and are left out of Φ⁻¹: a charge that all atoms have in common changes nothing.

Source: X. Wu, D. Vanderbilt and D. R. Hamann, Phys. Rev. B 72, 035105 (2005), section II.
"""

import numpy as np

from models.crystals.crystal import Floats

DIELECTRIC_PER_A3 = 180.95128
"""Elementary charge over vacuum permittivity and 1 Å, in V: e²/ε_vac of charges in |e|, eV and Å (CODATA 2018)."""

C_PER_M2 = 16.02176634
"""1 |e|/Å² in C/m²."""


def ionic_dielectric(force_constants: Floats, charges: Floats, volume_a3: float, *, floor: float) -> Floats:
    """What ions add to the electronic dielectric tensor, ε0 - ε∞: symmetric, no eigenvalue below 0.

    Args:
        force_constants: Φ = d²E/du du in eV/Å², [3 n, 3 n].
        charges: Born effective charges Z*_κij = V dP_i/du_κj in |e|, [n, 3, 3].
        volume_a3: of the cell in Å³.
        floor: curvature in eV/Å² that soft and unstable modes are lifted to, see `compliance`.

    Returns:
        Relative tensor in the Cartesian frame of Φ and Z*, [3, 3].
    """
    dipoles = _dipoles(charges)
    return DIELECTRIC_PER_A3 / volume_a3 * dipoles @ compliance(force_constants, floor=floor) @ dipoles.T


def ionic_piezoelectric(
    force_constants: Floats, internal_strain: Floats, charges: Floats, volume_a3: float, *, floor: float
) -> Floats:
    """What ions that leave their fractional coordinates add to the piezoelectric stress tensor, e - e_clamped.

    Args:
        force_constants: Φ = d²E/du du in eV/Å², [3 n, 3 n].
        internal_strain: Λ = -d²E/du dη in eV/Å, columns Voigt with engineering shears, [3 n, 6].
        charges: Born effective charges Z*_κij = V dP_i/du_κj in |e|, [n, 3, 3].
        volume_a3: of the cell in Å³.
        floor: curvature in eV/Å² that soft and unstable modes are lifted to, see `compliance`.

    Returns:
        e_iJ in C/m², [3, 6].
    """
    response = compliance(force_constants, floor=floor) @ internal_strain
    return C_PER_M2 / volume_a3 * _dipoles(charges) @ response


def compliance(force_constants: Floats, *, floor: float) -> Floats:
    """Displacements per force, Φ⁻¹ without translations, its soft modes stiffened; in Å²/eV, [3 n, 3 n].

    A mode of curvature k answers with 1/(|k| + floor). With a floor of 0 that is the inverse at a minimum of the
    energy; without one, a mode near zero would be the whole answer, and an unstable one would turn its sign. It is a
    function of the matrix: it turns with the crystal, and a supercell gives what its cell gives.

    Args:
        force_constants: Φ = d²E/du du in eV/Å², [3 n, 3 n].
        floor: in eV/Å², not negative.
    """
    n_atoms = len(force_constants) // 3
    translations = np.tile(np.eye(3), (n_atoms, 1)) / np.sqrt(n_atoms)
    internal = np.linalg.svd(translations)[0][:, 3:]
    values, vectors = np.linalg.eigh(internal.T @ force_constants @ internal)
    vectors = internal @ vectors
    inverse: Floats = (vectors / (np.abs(values) + floor)) @ vectors.T
    return inverse


def _dipoles(charges: Floats) -> Floats:
    """Dipole of the cell per displacement in |e|, [3, 3 n]."""
    return np.swapaxes(charges, 0, 1).reshape(3, -1)
