"""Columns that say how reliable a result is, judged from the crystal, the training data and the networks' spread."""

from models.quantities import TENSORS, ColumnKind, DerivedQuantity, Tensor


def reliability_column(tensor: Tensor) -> str:
    """Column of the probability that the prediction of a tensor is not among the worst tenth."""
    return f"reliability_{TENSORS[tensor].error_column.partition('_error')[0]}"


RELIABILITY: dict[str, DerivedQuantity] = {
    "ood_score": DerivedQuantity("1", "share of held-out crystals nearer to the training data", ()),
    "ood": DerivedQuantity(
        "",
        "farther from the training data than 95 % of held-out crystals, or a tensor larger than any material's",
        (),
        kind=ColumnKind.FLAG,
    ),
    "bond_dimensionality": DerivedQuantity("1", "dimension of the bonded network, 0 molecules to 3 framework", ()),
    "vacuum_angstrom": DerivedQuantity("angstrom", "widest empty layer of the cell", ()),
    "open_framework": DerivedQuantity("", "framework with pores, as of a zeolite", (), kind=ColumnKind.FLAG),
    "defect_supercell": DerivedQuantity(
        "", "many cells of a simpler crystal but for a few atoms: a point defect", (), kind=ColumnKind.FLAG
    ),
    "molecular": DerivedQuantity("", "crystal of molecules or single atoms", (), kind=ColumnKind.FLAG),
    "low_dimensional": DerivedQuantity("", "slab, wire or molecule in vacuum", (), kind=ColumnKind.FLAG),
    "layered": DerivedQuantity("", "crystal of bonded layers", (), kind=ColumnKind.FLAG),
    "equilibrium_volume_ratio": DerivedQuantity(
        "1", "predicted volume of the relaxed crystal over that of the crystal as given", ()
    ),
    "off_equilibrium": DerivedQuantity(
        "", "predicted far from its relaxed cell or positions", (), kind=ColumnKind.FLAG
    ),
    "elastic_stability_probability": DerivedQuantity(
        "1", "probability that the stiffness is positive definite in DFT (a hint only)", ()
    ),
    "band_gap_ev": DerivedQuantity("eV", "predicted band gap (a guide only: wide ones come out at half of DFT's)", ()),
    "metal": DerivedQuantity(
        "",
        "a metal, by its elements or by the network: it has no numbers of ε and e",
        (),
        kind=ColumnKind.FLAG,
    ),
    **{
        reliability_column(tensor): DerivedQuantity(
            "1", f"probability that the {row.label} is not among the worst tenth of predictions", (tensor,)
        )
        for tensor, row in TENSORS.items()
    },
}
"""How reliable a result is: what kind of crystal it is, how far from the training data, how likely a large error."""
