"""Sums of Gaussians over all periodic images of atoms: how much of each atom of a crystal another one sees, far off.

For atoms i and j the kernel of width σ is Σ_L exp(-|r_j + L - r_i|² / 2σ²) over the lattice vectors L. By Poisson's
formula it is (2π)^(3/2) σ³ / V Σ_G exp(-σ²G²/2) cos G·(r_j - r_i), whose terms end at |G| = 6 / σ, where they are
exp(-18): wide Gaussians, of which the sum over images would not end, cost the least. It depends on the crystal only,
not on its cell: the kernels with the copies of an atom in a supercell add up to the kernel with the atom.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import cos, exp, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from models.compiled import vectorized
from models.crystals.crystal import CrystalBatch, Floats, Ints, rows_between


@dataclass(frozen=True)
class ImageKernels:
    """Kernels between the atoms of each crystal, or between the first atoms of orbits and whole orbits.

    Attributes:
        sizes: atoms (or orbits) of each crystal, shape [n_crystals].
        values: a crystal's pairs one behind the other, first atom by first atom, shape [Σ sizes², n_widths].
    """

    sizes: Ints
    values: Floats

    @cached_property
    def starts(self) -> Ints:
        """First pair of each crystal, and their number, shape [n_crystals + 1]."""
        return np.concatenate([[0], np.cumsum(self.sizes**2)])

    def select(self, crystals: Ints) -> "ImageKernels":
        """Those of the crystals of the given indices, in that order."""
        pairs, _ = rows_between(self.starts, crystals)
        return ImageKernels(self.sizes[crystals], self.values[pairs])

    def of_orbits(self, orbit: Ints, is_first: NDArray[np.bool_]) -> "ImageKernels":
        """From the first atom of each orbit to all atoms of an orbit together, which have the same features.

        Args:
            orbit: of every atom; those of a crystal are consecutive, shape [n_atoms].
            is_first: shape [n_atoms].
        """
        if is_first.all():
            return self
        crystal_of_atom = np.repeat(np.arange(len(self.sizes)), self.sizes)
        sizes = np.bincount(crystal_of_atom[is_first], minlength=len(self.sizes))
        center, neighbor = pairs_of(self.sizes)
        keep = is_first[center]
        center, neighbor = orbit[center[keep]], orbit[neighbor[keep]]
        # orbits are numbered through all crystals, pairs of a crystal by center, then neighbour
        crystal = np.repeat(np.arange(len(sizes)), sizes)[center]
        first = (np.cumsum(sizes) - sizes)[crystal]
        place = (np.cumsum(sizes**2) - sizes**2)[crystal] + (center - first) * sizes[crystal] + neighbor - first
        values = np.zeros((int((sizes**2).sum()), self.values.shape[1]))
        np.add.at(values, place, self.values[keep])
        return ImageKernels(sizes, values)


def join_kernels(parts: Sequence[ImageKernels]) -> ImageKernels:
    """Those of consecutive crystals."""
    return ImageKernels(np.concatenate([p.sizes for p in parts]), np.concatenate([p.values for p in parts]))


def find_kernels(batch: CrystalBatch, widths_angstrom: Sequence[float]) -> ImageKernels:
    """Kernels between all atoms of each crystal.

    Args:
        batch: validated crystals.
        widths_angstrom: standard deviations σ of the Gaussians.

    Source: P. P. Ewald, Ann. Phys. 369, 253 (1921): the sum of Gaussians in reciprocal space.
    """
    widths = np.asarray(widths_angstrom, dtype=np.float64)
    reciprocal = np.ascontiguousarray(2.0 * np.pi * np.swapaxes(np.linalg.inv(batch.lattice), 1, 2))
    lattice, positions = np.ascontiguousarray(batch.lattice), np.ascontiguousarray(batch.frac_coords)
    volume = np.abs(np.linalg.det(lattice))
    values = gaussian_sums((lattice, reciprocal, volume), positions, batch.first_atom, widths)
    return ImageKernels(batch.atoms_per_crystal, values)


def pairs_of(sizes: Ints) -> tuple[Ints, Ints]:
    """Both atoms (or orbits) of each pair, in the order of `ImageKernels.values`, [Σ sizes²] each."""
    first = np.cumsum(sizes) - sizes
    crystal = np.repeat(np.arange(len(sizes)), sizes**2)
    rank = np.arange(len(crystal)) - (np.cumsum(sizes**2) - sizes**2)[crystal]
    center, neighbor = np.divmod(rank, sizes[crystal])
    return first[crystal] + center, first[crystal] + neighbor


@vectorized
def gaussian_sums(cells: tuple[Floats, Floats, Floats], positions: Floats, starts: Ints, widths: Floats) -> Floats:
    """Kernels of all pairs, shape [Σ n_atoms², n_widths].

    Args:
        cells: lattices, reciprocal lattices (rows, with the factor 2π), both shape [n_crystals, 3, 3], and volumes.
        positions: fractional, shape [n_atoms, 3].
        starts: first atom of each crystal, and their number, shape [n_crystals + 1].
        widths: in angstrom.
    """
    n_pairs, first_pair = 0, 0
    for crystal in range(len(starts) - 1):
        n_pairs += (starts[crystal + 1] - starts[crystal]) ** 2
    sums = np.zeros((n_pairs, len(widths)))
    for crystal in range(len(starts) - 1):
        n = starts[crystal + 1] - starts[crystal]
        block = np.zeros((len(widths), n, n))
        points = reciprocal_points(cells[0][crystal], cells[1][crystal], widths.min())
        add_waves(block, points, positions[starts[crystal] : starts[crystal + 1]], widths)
        for width in range(len(widths)):
            scale = (2.0 * pi) ** 1.5 * widths[width] ** 3 / cells[2][crystal]
            for i in range(n):
                for j in range(n):
                    sums[first_pair + i * n + j, width] = scale * block[width, i, j]
        first_pair += n * n
    return sums


@vectorized
def reciprocal_points(lattice: Floats, reciprocal: Floats, width: float) -> Floats:
    """One of each pair of reciprocal vectors ±G that a Gaussian of a width sees: indices and |G|², [n_points, 4]."""
    farthest = 6.0 / width
    bounds = np.empty(3, np.int64)
    for axis in range(3):
        # G . a = 2 pi h
        length = sqrt(lattice[axis, 0] ** 2 + lattice[axis, 1] ** 2 + lattice[axis, 2] ** 2)
        bounds[axis] = int(farthest * length / (2.0 * pi))
    n, points = 0, np.empty(((bounds[0] + 1) * (2 * bounds[1] + 1) * (2 * bounds[2] + 1), 4))
    for h in range(bounds[0] + 1):
        for k in range(-bounds[1] if h > 0 else 0, bounds[1] + 1):
            for m in range(-bounds[2] if h > 0 or k > 0 else 0, bounds[2] + 1):
                square = 0.0
                for axis in range(3):
                    square += (h * reciprocal[0, axis] + k * reciprocal[1, axis] + m * reciprocal[2, axis]) ** 2
                points[n, 0], points[n, 1], points[n, 2], points[n, 3] = h, k, m, square
                n += int(square <= farthest**2)
    return points[:n]


@vectorized
def add_waves(block: Floats, points: Floats, positions: Floats, widths: Floats) -> None:
    """Adds the terms of reciprocal vectors to the kernels [n_widths, n, n] of a crystal."""
    n, wave = len(positions), np.empty((2, len(positions)))
    for point in range(len(points)):
        h, k, m, square = points[point]
        for i in range(n):
            phase = 2.0 * pi * (h * positions[i, 0] + k * positions[i, 1] + m * positions[i, 2])
            wave[0, i], wave[1, i] = cos(phase), sin(phase)
        # a term and its mirror image at -G
        copies = 2.0 if square > 0.0 else 1.0
        for width in range(len(widths)):
            exponent = 0.5 * square * widths[width] ** 2
            if exponent > 18.0:
                continue
            weight = copies * exp(-exponent)
            for i in range(n):
                of_cos, of_sin = weight * wave[0, i], weight * wave[1, i]
                for j in range(n):
                    block[width, i, j] += of_cos * wave[0, j] + of_sin * wave[1, j]
