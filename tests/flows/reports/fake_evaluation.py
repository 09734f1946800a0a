"""An evaluation with made-up figures: every kind of row that a document has, none of them measured."""

import math

import numpy as np

from gmt_tasks.evaluation.applicability import ErrorByDistance, FamilyDetection
from gmt_tasks.evaluation.calibration import Coverage, ReliabilityCurve, SelectiveCurve
from gmt_tasks.evaluation.consistency import SystemConsistency
from gmt_tasks.evaluation.evaluation import Evaluation, Provenance
from gmt_tasks.evaluation.literature import LiteratureComparison
from gmt_tasks.evaluation.parity import DRAWN, ParityPoints
from gmt_tasks.evaluation.scores import PropertyMetrics, TensorMetrics
from models.quantities import Tensor

SETS = {
    Tensor.DIELECTRIC_ELECTRONIC: ("all", "primary"),
    Tensor.DIELECTRIC_TOTAL: ("all",),
    Tensor.PIEZOELECTRIC: ("all", "proven frame, non-zero"),
    Tensor.ELASTIC: ("all", "primary"),
}
PREDICTORS = ("model", "one member", "± of members", "train mean")


def fake_evaluation() -> Evaluation:
    """Two networks, seeds 7 and 8, calibrated, with a distance score."""
    tensors = [
        TensorMetrics(quantity.value, labels, split, who, 40, 1.5, 1.25, 80.0, 40.0, 20.0, 0.125, 100.0)
        for quantity, sets in SETS.items()
        for split in ("val", "test")
        for labels in sets
        for who in PREDICTORS
    ]
    properties = [
        PropertyMetrics(name, split, who, 40, 9.5, 0.0625, 0.9, 50.0)
        for name in ("k_vrh_gpa", "e_norm_c_per_m2")
        for split in ("val", "test")
        for who in PREDICTORS
    ]
    return Evaluation(
        "toy@1",
        "0123456789abcdef" * 4,
        tensors,
        properties,
        [SystemConsistency(tensor.value, system, 9, 100.0, 3e-16) for tensor in Tensor for system in ("cubic", "all")],
        _coverage(),
        [ErrorByDistance("elastic_voigt", "test", 40, 0.4, 0.1, 0.2, 0.3, math.nan, 0)],
        [FamilyDetection("oxides", 90, 60, 0.93, 0.71, 0.05, 0.6)],
        _curves(),
        [ReliabilityCurve("k_vrh_gpa", 40, [50.0, 90.0], [52.0, 80.0])],
        [_points(name) for name in DRAWN],
        _literature(),
        Provenance(2, (7, 8), (26, 12), ("elastic.jsonl.gz",), {"train": 100, "val": 20, "test": 40}),
    )


def _coverage() -> list[Coverage]:
    return [
        Coverage("k_vrh_gpa", "test", "all", 400, 80.0, 12.0, 0.0),
        Coverage("k_vrh_gpa", "test", "cubic", 20, 90.0, 11.0, 0.0),
        Coverage("elastic_error_gpa", "test", "all", 400, 91.0, 60.0, 0.0),
        Coverage("d_max_pc_per_n", "test", "all", 12, math.nan, math.nan, 100.0),
    ]


def _curves() -> list[SelectiveCurve]:
    kept = np.linspace(0.1, 1.0, 10).tolist()
    return [SelectiveCurve("k_vrh_gpa", "test", 40, kept, kept, 0.4, 0.6, 0.2)]


def _points(name: str) -> ParityPoints:
    label = np.geomspace(1.0, 100.0, 40)
    predicted = label * 1.1
    return ParityPoints(
        name, "test", label.tolist(), predicted.tolist(), (predicted * 0.95).tolist(), (predicted * 1.2).tolist()
    )


def _literature() -> list[LiteratureComparison]:
    aln = ("aln", "wurtzite AlN", "AlN", "test")
    quartz = ("quartz", "alpha quartz", "SiO2", "train")
    piezo, stiff = Tensor.PIEZOELECTRIC, Tensor.ELASTIC
    return [
        LiteratureComparison(*aln, "e33_c_per_m2", piezo, 1.46, 0.6, 0.2, 1.0, "somebody (1999)", ()),
        LiteratureComparison(*aln, "e31_c_per_m2", piezo, -0.6, 0.1, -0.9, 1.0, "somebody (1999)", ()),
        LiteratureComparison(*quartz, "c13_gpa", stiff, 12.0, 11.0, math.nan, math.nan, "else (2000)", ("metal",)),
        LiteratureComparison(*quartz, "c12_gpa", stiff, 0.0, 7.0, -1.0, 15.0, "else (2000)", ()),
        LiteratureComparison(*quartz, "e14_abs_c_per_m2", piezo, 0.04, 0.05, 0.0, 0.1, "else (2000)", ()),
    ]
