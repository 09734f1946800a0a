"""Relaxation of cell and atoms within the deformations that keep a space group (or without symmetry: within all)."""

from dataclasses import dataclass

import numpy as np

from models.crystals.crystal import Floats, find_invalid
from models.potential.deformations import DeformationSpace
from models.potential.interface import EV_PER_A3_IN_GPA
from models.potential.second_opinion import Relaxation
from models.potential.steps import Steps, require_finite

MIN_VOLUME_RATIO, MAX_VOLUME_RATIO = 0.4, 2.5
"""A relaxation that leaves these bounds is a collapse or an evaporation, no relaxed crystal."""

_MAX_DISPLACEMENT_ANGSTROM = 0.2  # of an atom in one step
_MAX_STRAIN = 0.04  # in one step
_STIFFNESS_OF_ATOMS = 8.0  # eV/Å²: the first guess of the second derivative by a displacement
_BULK_GPA, _SHEAR_GPA = 90.0, 40.0  # the first guess of the stiffness, where none is given
_LEAST_CURVATURE = 0.3  # eV/Å²: flatter directions are taken for this stiff
_ENERGY_NOISE_EV = 2e-6  # per atom, of single precision


@dataclass(frozen=True)
class Limits:
    """When a relaxation ends.

    Attributes:
        force_ev_per_angstrom: largest force left on an atom.
        stress_gpa: Frobenius norm of the stress left on the cell.
        n_steps: at most so many evaluations.
    """

    force_ev_per_angstrom: float = 0.003
    stress_gpa: float = 0.02
    n_steps: int = 60

    def hold(self, space: DeformationSpace, gradient: Floats) -> bool:
        """Whether forces and stress, as a derivative of the energy in a space [3 n + 6], are below the limits."""
        force = np.linalg.norm(space.displacements(gradient), axis=-1).max()
        stress = np.linalg.norm(gradient[-6:]) * space.length / space.volume * EV_PER_A3_IN_GPA
        return bool(force < self.force_ev_per_angstrom and stress < self.stress_gpa)


@dataclass(frozen=True)
class Relaxed:
    """Where a relaxation ended.

    Attributes:
        how: it ended.
        point: of the deformation space, shape [3 n + 6].
        energy_ev: per cell at the start and at the end.
        start_stress_gpa: shape [3, 3].
        start_force_ev_per_angstrom: largest force on an atom at the start.
    """

    how: Relaxation
    point: Floats
    energy_ev: tuple[float, float]
    start_stress_gpa: Floats
    start_force_ev_per_angstrom: float


def relaxation_steps(
    space: DeformationSpace,
    basis: Floats,
    limits: Limits,
    *,
    start: Floats | None = None,
    stiffness_guess_mandel_gpa: Floats | None = None,
) -> Steps[Relaxed]:
    """Minimises the energy by a quasi-Newton method (BFGS) with a bound on each step.

    Args:
        space: deformations of the crystal.
        basis: orthonormal directions that the relaxation may take, shape [n_free, 3 n + 6]: `space.invariants` keeps
            the space group.
        limits: when it ends.
        start: point to start from; the origin by default, shape [3 n + 6].
        stiffness_guess_mandel_gpa: stiffness for the first guess of the second derivatives, shape [6, 6].
    """
    point = np.zeros(space.dimension) if start is None else start
    evaluation = require_finite((yield space.crystals(point[None])))
    first = evaluation
    energy, gradient = float(evaluation.energy_ev[0]), space.gradients(point[None], evaluation)[0]
    curvature = basis @ _first_curvature(space, stiffness_guess_mandel_gpa) @ basis.T
    how, shrink = Relaxation.NOT_CONVERGED, 1.0
    for _ in range(limits.n_steps):
        slope = basis @ gradient
        if limits.hold(space, basis.T @ slope):
            how = Relaxation.CONVERGED
            break
        values, vectors = np.linalg.eigh(curvature)
        # to the minimum of the quadratic model; along directions of negative curvature downhill all the same
        step = -basis.T @ vectors @ ((vectors.T @ slope) / np.maximum(np.abs(values), _LEAST_CURVATURE))
        farthest, largest = space.reach(step)
        step *= shrink / max(1.0, farthest / _MAX_DISPLACEMENT_ANGSTROM, largest / _MAX_STRAIN)
        trial = point + step
        crystal = space.crystals(trial[None])
        ratio = np.linalg.det(np.eye(3) + space.strains(trial))
        if not MIN_VOLUME_RATIO < ratio < MAX_VOLUME_RATIO or find_invalid(crystal):
            how = Relaxation.COLLAPSED
            break
        evaluation = require_finite((yield crystal))
        new_gradient = space.gradients(trial[None], evaluation)[0]
        curvature = _updated(curvature, basis @ step, basis @ (new_gradient - gradient))
        rise = float(evaluation.energy_ev[0]) - energy
        if rise > _ENERGY_NOISE_EV * space.n_atoms:
            # the step went too far: what was learned of the curvature stays, the point does not
            shrink *= 0.5
            continue
        shrink = min(1.0, 2 * shrink)
        point, energy, gradient = trial, energy + rise, new_gradient
    start_force = float(np.linalg.norm(first.forces_ev_per_angstrom, axis=1).max())
    return Relaxed(how, point, (float(first.energy_ev[0]), energy), first.stress_gpa[0], start_force)


def _first_curvature(space: DeformationSpace, stiffness_mandel_gpa: Floats | None) -> Floats:
    """Second derivatives of the energy that the first step assumes, in eV/Å², [3 n + 6, 3 n + 6]."""
    if stiffness_mandel_gpa is None:
        volumetric = np.zeros((6, 6))
        volumetric[:3, :3] = 1 / 3
        stiffness_mandel_gpa = 3 * _BULK_GPA * volumetric + 2 * _SHEAR_GPA * (np.eye(6) - volumetric)
    curvature = _STIFFNESS_OF_ATOMS * np.eye(space.dimension)
    curvature[-6:, -6:] = stiffness_mandel_gpa / EV_PER_A3_IN_GPA * space.volume / space.length**2
    return curvature


def _updated(curvature: Floats, step: Floats, change: Floats) -> Floats:
    """BFGS update; left out where the energy curves downwards along the step, which BFGS cannot express."""
    along = float(step @ change)
    if along < 1e-3 * float(step @ step):
        return curvature
    pushed = curvature @ step
    updated: Floats = curvature + np.outer(change, change) / along - np.outer(pushed, pushed) / float(step @ pushed)
    return updated
