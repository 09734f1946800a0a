"""Born charges and clamped-ion terms that are learned through the tensors they add to, for response.py beside this.

Charges: a number per element, drawn towards its common oxidation state, plus a small network of the atom's features in
GMTNet, neutral in every crystal. Pairs of neighbours of different elements add a charge that one atom gains and the
other loses, isotropic and along the bond, and a clamped-ion piezoelectric term: antisymmetric in the pair, so that the
charges of a crystal add up to 0 and whatever has a centre of inversion has no piezoelectric tensor.
"""

from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Element
from torch import Tensor, nn
from torch.nn.functional import huber_loss

from benchmarks.potential.ionic_response import C_PER_M2, DIELECTRIC_PER_A3

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_ATOMS = 12
N_ELEMENTS = 119
CUTOFF_ANGSTROM = 4.5
OFFSET = 0.3
"""Added to relative constants before their logarithm is taken."""

_VOIGT = torch.tensor([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
_CENTERS = np.linspace(0.7, 2.3, 8)
_ANIONS = frozenset("F Cl Br I O S Se Te N P As".split())
_RIDGE = 0.3  # of the numbers per element


def _oxidation_state(number: int) -> float:
    element = Element.from_Z(number)
    states = element.common_oxidation_states or (0,)
    if element.symbol == "H":
        return 0.5
    return float(min(states) if element.symbol in _ANIONS else max(states))


OXIDATION_STATES = torch.tensor([0.0, *(_oxidation_state(number) for number in range(1, N_ELEMENTS))])
RADII_ANGSTROM = np.array([1.0, *(float(Element.from_Z(z).atomic_radius or 1.6) for z in range(1, N_ELEMENTS))])


def _descriptors() -> Tensor:
    text = str(files("models.gmtnet") / "element_descriptors.csv")
    return torch.tensor(np.loadtxt(text, delimiter=",", skiprows=1)[:, 1:], dtype=torch.float32)


@dataclass(frozen=True)
class Bonds:
    """Pairs of neighbours of different elements, the lower atomic number first.

    Attributes:
        crystal, first, second: of each pair, [n_pairs].
        direction: unit vectors from the first atom to the second, [n_pairs, 3].
        radial: Gaussians of the distance over the sum of radii, [n_pairs, 8].
        weight: share of the bond in all bonds of its atoms, [n_pairs].
    """

    crystal: Ints
    first: Ints
    second: Ints
    direction: Floats
    radial: Floats
    weight: Floats


def bonds_of(lattice: Floats, frac_coords: Floats, numbers: Ints) -> Bonds:
    """The pairs of one crystal."""
    heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    reach = [np.arange(-n, n + 1) for n in np.ceil(CUTOFF_ANGSTROM / heights).astype(int) + 1]
    shifts = np.stack(np.meshgrid(*reach, indexing="ij"), -1).reshape(-1, 3) @ lattice
    places = (frac_coords % 1) @ lattice
    vectors = places[None, :, None] - places[:, None, None] + shifts
    distances = np.linalg.norm(vectors, axis=-1)
    i, j, k = np.nonzero((distances < CUTOFF_ANGSTROM) & (distances > 1e-3))
    vector, distance = vectors[i, j, k], distances[i, j, k]
    scaled = distance / (RADII_ANGSTROM[numbers[i]] + RADII_ANGSTROM[numbers[j]])
    strength = np.exp(-5 * (scaled - 1)) * 0.5 * (np.cos(np.pi * distance / CUTOFF_ANGSTROM) + 1)
    total = np.bincount(i, strength, minlength=len(numbers))
    weight = 0.5 * strength * (1 / total[i] + 1 / total[j])
    keep = (numbers[i] < numbers[j]) & (weight > 3e-3)
    radial = np.exp(-(((scaled[keep, None] - _CENTERS) / 0.23) ** 2))
    direction = vector[keep] / distance[keep, None]
    return Bonds(np.zeros(keep.sum(), np.int64), i[keep], j[keep], direction, radial, weight[keep])


@dataclass
class Responses:
    """What the formulas need of crystals of up to MAX_ATOMS atoms, padded with zeros, float32.

    Attributes:
        numbers, mask: [n, MAX_ATOMS].
        features: of atoms in GMTNet, [n, MAX_ATOMS, n_features].
        compliance: in Å²/eV, [n, 3 MAX_ATOMS, 3 MAX_ATOMS].
        internal_strain: in eV/Å, [n, 3 MAX_ATOMS, 6].
        volume: in Å³, [n].
        bonds: crystal, first atom and second atom [3, n_pairs]; direction, radial and weight [n_pairs, 12].
    """

    numbers: Tensor
    mask: Tensor
    features: Tensor
    compliance: Tensor
    internal_strain: Tensor
    volume: Tensor
    bonds: tuple[Tensor, Tensor]

    def select(self, rows: Ints) -> "Responses":
        """Those of the given places."""
        place = torch.full((len(self.numbers),), -1)
        place[torch.as_tensor(rows)] = torch.arange(len(rows))
        ends, geometry = self.bonds
        keep = place[ends[0]] >= 0
        chosen = torch.stack([place[ends[0]], ends[1], ends[2]])[:, keep]
        arrays = (self.numbers, self.mask, self.features, self.compliance, self.internal_strain, self.volume)
        return Responses(*(array[rows] for array in arrays), bonds=(chosen, geometry[keep]))

    def dielectric(self, charges: Tensor) -> Tensor:
        """Ionic parts of charges [n, MAX_ATOMS, 3, 3], [n, 3, 3]."""
        dipoles = charges.transpose(1, 2).flatten(2)
        return DIELECTRIC_PER_A3 / self.volume[:, None, None] * (dipoles @ self.compliance @ dipoles.transpose(1, 2))

    def piezoelectric(self, charges: Tensor) -> Tensor:
        """Ionic parts e_ijk in C/m², [n, 3, 3, 3]."""
        dipoles = charges.transpose(1, 2).flatten(2)
        e = C_PER_M2 / self.volume[:, None, None] * (dipoles @ (self.compliance @ self.internal_strain))
        return e[:, :, _VOIGT]


class AtomCharges(nn.Module):
    """Isotropic charges by element, with or without features of atoms."""

    def __init__(self, n_features: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.register_buffer("descriptors", _descriptors())
        self.charge, self.size = (nn.Parameter(torch.zeros(N_ELEMENTS)) for _ in range(2))
        self.of_descriptors = nn.Linear(self.descriptors.shape[1], 2)
        nn.init.zeros_(self.of_descriptors.weight)
        nn.init.zeros_(self.of_descriptors.bias)
        self.other_code = nn.Parameter(torch.zeros(1))
        last = nn.Linear(24, 1, bias=False)
        nn.init.zeros_(last.weight)
        self.of_features = nn.Sequential(nn.Linear(n_features, 24), nn.SiLU(), last) if n_features else None

    def forward(self, crystals: Responses) -> tuple[Tensor, Tensor]:
        """Charges [n, MAX_ATOMS, 3, 3], and what is added to the loss."""
        charge, size = self.of_descriptors(self.descriptors).unbind(1)
        charges = (OXIDATION_STATES + self.charge + charge)[crystals.numbers] * crystals.mask
        penalty = _RIDGE * (self.charge.square().sum() + 2 * self.size.square().sum())
        penalty = (penalty + _RIDGE * self.of_descriptors.weight.square().sum()) / len(charges)
        if self.of_features is not None:
            change = self.of_features(crystals.features)[..., 0] * crystals.mask
            penalty = penalty + 0.01 * change.square().sum() / crystals.mask.sum()
            charges = charges + change
        sizes = torch.exp(self.size + size)[crystals.numbers] * crystals.mask
        charges = charges - sizes * (charges.sum(1) / sizes.sum(1))[:, None]
        return charges[..., None, None] * torch.eye(3), penalty


class BondTerms(nn.Module):
    """What pairs of neighbours add to charges, and the clamped-ion piezoelectric tensor."""

    def __init__(self, seed: int, n_channels: int = 8, n_hidden: int = 32) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.register_buffer("descriptors", _descriptors())
        self.elements = nn.Parameter(0.1 * torch.randn(N_ELEMENTS, n_channels))
        self.of_descriptors = nn.Linear(self.descriptors.shape[1], n_channels)
        hidden = nn.Linear(2 * n_channels + 8, n_hidden), nn.SiLU(), nn.Dropout(0.1), nn.Linear(n_hidden, n_hidden)
        self.terms = nn.Sequential(*hidden, nn.SiLU(), nn.Linear(n_hidden, 5 * n_channels))
        self.log_scale = nn.Parameter(torch.zeros(1))

    def forward(self, crystals: Responses, charges: Tensor) -> tuple[Tensor, Tensor]:
        """Total e_ijk in C/m² from charges of the atoms, [n, 3, 3, 3], and what is added to the loss."""
        (crystal, first, second), geometry = crystals.bonds
        u, radial, weight = geometry.split([3, 8, 1], dim=1)
        n, eye = len(charges), torch.eye(3)
        embedded = (self.elements + self.of_descriptors(self.descriptors))[crystals.numbers]
        a, b = embedded[crystal, first], embedded[crystal, second]
        terms = self.terms(torch.cat([a + b, a * b, radial], dim=1)).view(len(a), 5, -1)
        # odd in the exchange of both atoms
        terms = (terms * (a - b)[:, None]).sum(2) * weight
        along = u[:, :, None] * u[:, None]
        gained = terms[:, 3, None, None] * eye + terms[:, 4, None, None] * (along - eye / 3)
        added = torch.zeros(n * MAX_ATOMS, 3, 3).index_add(0, crystal * MAX_ATOMS + first, gained)
        added = added.index_add(0, crystal * MAX_ATOMS + second, -gained).view(n, MAX_ATOMS, 3, 3)
        ionic = crystals.piezoelectric(charges * torch.exp(self.log_scale) + added)
        mixed = torch.einsum("p,ij,pk->pijk", terms[:, 2], eye, u)
        clamped = torch.einsum("p,pi,pjk->pijk", terms[:, 0], u, along) + mixed + mixed.transpose(2, 3)
        clamped = clamped + torch.einsum("p,pi,jk->pijk", terms[:, 1], u, eye)
        clamped = torch.zeros(n, 3, 3, 3).index_add(0, crystal, clamped) * 3 * C_PER_M2
        penalty = 0.1 * (terms[:, 3:] ** 2 / weight).sum() / n
        return ionic + clamped / crystals.volume[:, None, None, None], penalty


def dielectric_loss(found: Tensor, mean: Tensor, tensor: Tensor, norm: Tensor, shift: Tensor) -> Tensor:
    """Logarithms of mean constants, and tensors where they are known (norm of the label not NaN)."""
    trace = found.diagonal(dim1=1, dim2=2).mean(1)
    whole = ~torch.isnan(norm)
    trace = torch.where(whole, trace, trace * torch.exp(shift))
    of_mean = torch.log((trace + OFFSET) / (mean + OFFSET))
    of_tensor = _norm((found - tensor)[whole]) / norm[whole]
    zeros = torch.zeros_like
    return 3 * sum(huber_loss(x, zeros(x), delta=0.3) for x in (of_mean, of_tensor))  # type: ignore[return-value]


def piezoelectric_loss(found: Tensor, label: Tensor, sign_free: Tensor) -> Tensor:
    """Relative errors and logarithms of norms; with either sign where the label does not prove it."""
    turned = sign_free & ((found * label).sum((1, 2, 3)) < 0)
    label = torch.where(turned[:, None, None, None], -label, label)
    relative = _norm(found - label) / (_norm(label) + 0.3)
    logarithm = torch.log((_norm(found) + 0.1) / (_norm(label) + 0.1))
    zeros = torch.zeros_like
    return 2 * sum(huber_loss(x, zeros(x), delta=0.4) for x in (relative, logarithm))  # type: ignore[return-value]


def _norm(x: Tensor) -> Tensor:
    return x.flatten(1).square().sum(1).add(1e-8).sqrt()


def fit_charges(crystals: Responses, labels: tuple[Tensor, Tensor, Tensor], n_features: int, seed: int) -> AtomCharges:
    """Charges through dielectric labels: mean, tensor and norm of the total label."""
    network = AtomCharges(n_features, seed)
    slow = [] if network.of_features is None else list(network.of_features.parameters())
    fast = [p for name, p in network.named_parameters() if not name.startswith("of_features")]
    groups = [{"params": fast, "lr": 0.02, "weight_decay": 0.0}, {"params": slow, "lr": 4e-3, "weight_decay": 1e-3}]
    optimizer = torch.optim.AdamW(groups)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [0.02, 4e-3], total_steps=151, pct_start=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        charges, penalty = network(crystals)
        loss = dielectric_loss(crystals.dielectric(charges), *labels, network.other_code) + penalty
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network.eval()


def fit_bonds(
    crystals: Responses, charges: Tensor, label: Tensor, sign_free: Tensor, stop: NDArray[np.bool_], seed: int
) -> BondTerms:
    """Bond terms through piezoelectric labels; those of `stop`, [n], say when to stop."""
    network = BondTerms(seed)
    parts = [np.flatnonzero(~stop), np.flatnonzero(stop)]
    chosen = [(crystals.select(rows), charges[rows], label[rows], sign_free[rows]) for rows in parts]
    optimizer = torch.optim.AdamW(network.parameters(), lr=6e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=151, pct_start=0.15)
    least, best = np.inf, network.state_dict()
    for step in range(150):
        network.train()
        optimizer.zero_grad()
        e, penalty = network(*chosen[0][:2])
        (piezoelectric_loss(e, *chosen[0][2:]) + penalty).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 10 == 9:
            network.eval()
            with torch.no_grad():
                loss = float(piezoelectric_loss(network(*chosen[1][:2])[0], *chosen[1][2:]))
            if loss < least:
                least, best = loss, {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(best)
    return network.eval()
