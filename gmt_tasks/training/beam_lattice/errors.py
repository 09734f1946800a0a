"""How far predicted stiffnesses of nets are from homogenized ones."""

import numpy as np

from gmt_tasks.training.beam_lattice.data import LabelledNets
from models.beam_lattice.net import Floats
from models.gmtnet.beam_lattice.predictor import LatticePredictor
from models.tensors.voigt import stiffness_voigt_to_mandel

Errors = dict[str, float]


def net_errors(labelled: LabelledNets, predictor: LatticePredictor) -> Errors:
    """Errors of a predictor on nets, see `compare`."""
    predicted = stiffness_voigt_to_mandel(predictor.predict(labelled.nets))
    density = labelled.nets.relative_density[:, None, None]
    return {**compare(predicted / density, labelled), "topologies": float(labelled.n_topologies)}


def bound_errors(labelled: LabelledNets) -> dict[str, Errors]:
    """Errors of both bounds: what there is to learn."""
    of_bounds = {"affine": labelled.affine, "one step": labelled.root @ labelled.root}
    return {name: compare(stiffness, labelled) for name, stiffness in of_bounds.items()}


def compare(predicted: Floats, labelled: LabelledNets) -> Errors:
    """Errors of stiffnesses in Mandel form over relative density, [n_nets, 6, 6].

    Returns:
        `nrmse`: root mean square error of the components of C / E_s over the root mean square of the labels;
        `nrmse_specific`: the same of C / (E_s relative density), in which light nets count as much as dense ones;
        median and 95th percentile of each net's relative error; median factor by which the stiffness of the softest
        strain is missed; share of indefinite predictions; number of nets.
    """
    label, density = labelled.stiffness, labelled.nets.relative_density[:, None, None]
    relative = np.linalg.norm(predicted - label, axis=(1, 2)) / np.linalg.norm(label, axis=(1, 2))
    lowest, softest = np.linalg.eigvalsh(predicted)[:, 0], np.linalg.eigvalsh(label)[:, 0]
    missed = np.exp(np.abs(np.log(np.maximum(lowest, 1e-300) / softest)))
    return {
        "nrmse": normalised_rmse(predicted * density, label * density),
        "nrmse_specific": normalised_rmse(predicted, label),
        "median_relative_error": float(np.median(relative)),
        "relative_error_95_percent": float(np.percentile(relative, 95)),
        "median_factor_softest": float(np.median(missed)),
        "indefinite": float((lowest <= 0).mean()),
        "nets": float(len(label)),
    }


def normalised_rmse(predicted: Floats, label: Floats) -> float:
    """Root mean square error over the root mean square of the labels."""
    return float(np.sqrt(((predicted - label) ** 2).mean() / (label**2).mean()))
