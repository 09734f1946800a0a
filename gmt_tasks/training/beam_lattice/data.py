"""Nets that the network learns from: bonds of crystals with random radii, homogenized, and split by topology."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np

from gmt_tasks.training.beam_lattice.varied import Variation, varied_nets
from gmt_tasks.training.candidate_columns import read_table
from models.beam_lattice.bounds import affine_stiffness, one_step
from models.beam_lattice.from_crystals import CrystalNets, nets_of_bonds
from models.beam_lattice.homogenize import homogenize
from models.beam_lattice.net import BeamNets, Floats, Ints
from models.beam_lattice.topology import net_signatures
from models.crystals.crystal import find_invalid
from models.gmtnet.beam_lattice.predictor import matrix_root
from models.tensors.voigt import stiffness_voigt_to_mandel


class Part(StrEnum):
    """Part of the data, by the hash of the topology: all nets of a topology are in one part."""

    TRAIN = "train"
    VAL = "val"  # for the choice of the epoch and of settings
    TEST = "test"
    LARGER = "larger"  # nets of more nodes than any in training, of topologies that are not in training either


@dataclass(frozen=True)
class NetChoice:
    """Which nets are made.

    Attributes:
        seed: of the choice, and of radii.
        n_crystals: crystals whose bonds are looked at, at most.
        max_nodes: of a net; LARGER has up to twice as many.
        tolerance: of a bond, see `nets_of_bonds`.
        per_topology: nets of one topology, at most: a few topologies have hundreds of crystals.
        draws: sets of radii for each net of TRAIN; one for the others.
        varied: sets of nets that are like those of TRAIN, with radii of their own.
        variation: how they differ.
        spread: standard deviation of ln radius between classes of bonds.
        densities: lowest and highest relative density, uniform in the logarithm.
    """

    seed: int = 1
    n_crystals: int = 23_000
    max_nodes: int = 6
    tolerance: float = 0.15
    per_topology: int = 8
    draws: int = 2
    varied: int = 6
    variation: Variation = field(default_factory=Variation)
    spread: float = 0.2
    densities: tuple[float, float] = (0.01, 0.1)


@dataclass(frozen=True)
class LabelledNets:
    """Nets with what a network needs to learn their stiffness.

    Attributes:
        nets: with radii.
        stiffness: C / (E_s relative density) in Mandel form, [n_nets, 6, 6].
        affine: Voigt's bound in the same units, [n_nets, 6, 6].
        root: square root of the bound of one step of relaxation, [n_nets, 6, 6].
        unbalanced: what that step leaves at the nodes, see `OneStep`, [n_nodes].
        n_topologies: different ones among the nets.
    """

    nets: BeamNets
    stiffness: Floats
    affine: Floats
    root: Floats
    unbalanced: Floats
    n_topologies: int

    @property
    def relaxation(self) -> Floats:
        """X of C = B^1/2 X B^1/2, what the head learns, [n_nets, 6, 6]."""
        inverse = np.linalg.inv(self.root)
        matrices = inverse @ self.stiffness @ inverse
        return np.asarray((matrices + np.swapaxes(matrices, 1, 2)) / 2)


def part_of(signature: str, n_nodes: int, max_nodes: int) -> Part | None:
    """Part of a net by its topology and size; None for a larger net whose topology is one of training."""
    share = int(hashlib.sha256(signature.encode()).hexdigest()[:8], 16) / 16**8
    part = Part.TEST if share < 0.1 else Part.VAL if share < 0.2 else Part.TRAIN
    if n_nodes <= max_nodes:
        return part
    return Part.LARGER if part is Part.TEST else None


def labelled_nets(path: Path, choice: NetChoice) -> dict[Part, LabelledNets]:
    """Nets of all parts from a table of crystals (Parquet with lattice, species and frac_coords)."""
    batch, _ = read_table(path, ())
    sound = np.ones(batch.n_crystals, dtype=np.bool_)
    sound[list(find_invalid(batch))] = False
    rows = np.flatnonzero(sound & (batch.atoms_per_crystal <= choice.max_nodes))
    larger = np.flatnonzero(
        sound & (batch.atoms_per_crystal > choice.max_nodes) & (batch.atoms_per_crystal <= 2 * choice.max_nodes)
    )
    rng = np.random.default_rng(choice.seed)
    chosen = [rng.permutation(rows)[: choice.n_crystals], rng.permutation(larger)[: choice.n_crystals // 8]]
    made = nets_of_bonds(batch.select(np.sort(np.concatenate(chosen))), choice.tolerance)
    signatures = net_signatures(made.nets)
    counts: Counter[tuple[str, bool]] = Counter()
    of_parts: dict[Part, list[int]] = {part: [] for part in Part}
    for net in rng.permutation(made.nets.n_nets).tolist():
        n_nodes = int(made.nets.nodes_per_net[net])
        part = part_of(signatures[net], n_nodes, choice.max_nodes)
        key = signatures[net], n_nodes > choice.max_nodes
        counts[key] += 1
        if part is not None and counts[key] <= choice.per_topology:
            of_parts[part].append(net)
    return {part: _labelled(made, np.sort(nets), signatures, choice, part) for part, nets in of_parts.items()}


def _labelled(made: CrystalNets, rows: Ints, signatures: list[str], choice: NetChoice, part: Part) -> LabelledNets:
    """The nets of some rows with random radii, homogenized; in training also nets that are like them."""
    rng = np.random.default_rng([choice.seed, len(rows)])
    nets = made.nets.select(rows)
    classes = np.unique(made.bond_class[made.nets.rows(rows)[1]], return_inverse=True)[1]
    topologies = {signatures[row] for row in rows.tolist()}
    drawn = [_with_radii(nets, classes, choice, rng) for _ in range(choice.draws if part is Part.TRAIN else 1)]
    for _ in range(choice.varied if part is Part.TRAIN else 0):
        others, of_others, names = varied_nets(nets, classes, choice.variation, rng)
        # a net without one of its bonds may be one that is kept out
        own = [k for k, name in enumerate(names) if part_of(name, 0, choice.max_nodes) is Part.TRAIN]
        topologies |= {names[k] for k in own}
        drawn.append(_with_radii(others.select(own), of_others[others.rows(own)[1]], choice, rng))
    both = BeamNets.join(drawn)
    density, step = both.relative_density[:, None, None], one_step(both)
    return LabelledNets(
        both,
        stiffness_voigt_to_mandel(homogenize(both).stiffness_voigt) / density,
        stiffness_voigt_to_mandel(affine_stiffness(both)) / density,
        matrix_root(stiffness_voigt_to_mandel(step.stiffness_voigt) / density),
        step.unbalanced,
        len(topologies),
    )


def _with_radii(nets: BeamNets, classes: Ints, choice: NetChoice, rng: np.random.Generator) -> BeamNets:
    """Nets with random radii by class of bond, and random densities."""
    factor = np.exp(choice.spread * rng.normal(size=classes.max(initial=-1) + 1))[classes]
    lowest, highest = np.log(choice.densities).tolist()
    return nets.with_radius(factor).at_density(np.exp(rng.uniform(lowest, highest, nets.n_nets)))
