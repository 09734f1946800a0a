"""Figures of others as they were published: not measured here, beside ours with what differs.

Every figure names the file in which it stands; a newer version of that file may say something else.
"""

from dataclasses import dataclass

from models.quantities import Tensor


@dataclass(frozen=True)
class QuotedPotential:
    """Mean absolute errors of ln K and ln G, and of K and G in GPa, of binaries by an interatomic potential."""

    name: str
    ln_k: float
    ln_g: float
    k_gpa: float
    g_gpa: float


MATPES_SOURCE = (
    "MatPES, github.com/materialsvirtuallab/matpes, pages/matcalc-benchmark-pbe.csv (logarithms: commit 08a51eaa, GPa: "
    "commit 9cdd4ce7 of materialyzeai/matpes)"
)
MATPES_CRYSTALS = 3959
"""Binaries of the Materials Project in that benchmark (pages/benchmarks.py); ours are the held-out ones of these."""

POTENTIALS: tuple[QuotedPotential, ...] = (
    QuotedPotential("TensorNet on OMat24", 0.24, 0.38, 15.61, 15.5),
    QuotedPotential("CHGNet on MPtrj", 0.25, 0.74, 17.45, 29.59),
    QuotedPotential("TensorNet on MatPES", 0.27, 0.38, 18.02, 14.82),
    QuotedPotential("M3GNet on MPF", 0.30, 1.0, 21.36, 40.97),
    QuotedPotential("TensorNet on MPF", 0.32, 0.86, 24.42, 36.01),
    QuotedPotential("CHGNet on MatPES", 0.32, 0.42, 23.73, 20.61),
    QuotedPotential("M3GNet on MatPES", 0.35, 0.49, 26.11, 25.3),
)


@dataclass(frozen=True)
class QuotedTensor:
    """A network on the test part of the GMTNet paper's split: Fnorm in the tensor's unit, EwT in percent.

    Attributes:
        quantity: which tensor.
        name: who.
        fnorm: mean Frobenius norm of the error.
        ewt: shares with a relative error below 25, 10 and 5 %; empty where they are not given.
        labels: which labels, as of `published_metrics`.
    """

    quantity: Tensor
    name: str
    fnorm: float
    ewt: tuple[float, ...] = ()
    labels: str = "all"


PAPER_SOURCE = (
    "Yan et al., ICML 2024 (arXiv:2406.12888) for GMTNet, the papers of GoeCTP, CEITNet and IrredNet for theirs; "
    "JARVIS-DFT tensors, split with seed 32"
)
_INF, _C, _E = Tensor.DIELECTRIC_ELECTRONIC, Tensor.ELASTIC, Tensor.PIEZOELECTRIC
PAPER_FIGURES: tuple[QuotedTensor, ...] = (
    QuotedTensor(_INF, "GMTNet", 3.50, (84.5, 57.1, 27.8)),
    QuotedTensor(_INF, "GMTNet, run again", 3.28),
    QuotedTensor(_INF, "GoeCTP", 3.23, (83.2, 56.8, 35.5)),
    QuotedTensor(_INF, "CEITNet", 2.87, (86.1, 63.8, 39.3)),
    QuotedTensor(_INF, "IrredNet", 3.23, (85.8, 53.2, 29.8)),
    QuotedTensor(_C, "GMTNet", 67.4, (66.1, 21.8, 7.7)),
    QuotedTensor(_C, "GoeCTP, run again", 85.0),
    QuotedTensor(_C, "CEITNet", 70.1, (70.6, 32.2, 14.4)),
    QuotedTensor(_C, "IrredNet", 64.2, (66.5, 26.5, 12.1)),
    QuotedTensor(_E, "GMTNet", 0.752, (6.3, 1.5, 1.1), "non-zero"),
    QuotedTensor(_E, "GoeCTP", 0.778, (2.6, 1.1, 0.04), "non-zero"),
    QuotedTensor(_E, "CEITNet", 0.517, (22.0, 5.8, 2.7), "non-zero"),
)


@dataclass(frozen=True)
class QuotedMatbench:
    """Mean and standard deviation over the folds of the mean absolute error, and the mean of the RMSE."""

    name: str
    mae: float
    spread: float
    rmse: float


MATBENCH_SOURCE = (
    "Matbench v0.1, github.com/materialsproject/matbench (MIT), leaderboards per task in docs/, commit 936176db; "
    "Dunn et al., npj Comput. Mater. 6, 138 (2020)"
)
MATBENCH_FOLDERS = {
    "coNGN": "coNGN", "coGN": "coGN", "modnet_v0.1.12": "MODNet v0.1.12", "alignn": "ALIGNN",
    "DimeNetPP_kgcnn_v2.1.0": "DimeNet++ (kgcnn)", "SchNet_kgcnn_v2.1.0": "SchNet (kgcnn)",
    "MegNet_kgcnn_v2.1.0": "MegNet (kgcnn)", "automatminer_expressv2020": "AMMExpress v2020",
    "cgcnnv2019": "CGCNN v2019", "CrabNet": "CrabNet", "rf": "RF-SCM/Magpie", "dummy": "Dummy",
}  # fmt: skip
"""Names on the leaderboard of contributions whose folders are called `matbench_v0.1_...`."""

MATBENCH_FIGURES: dict[str, tuple[QuotedMatbench, ...]] = {
    "matbench_log_kvrh": (
        QuotedMatbench("coNGN", 0.0491, 0.0026, 0.1037),
        QuotedMatbench("coGN", 0.0535, 0.0028, 0.1082),
        QuotedMatbench("MODNet v0.1.12", 0.0548, 0.0025, 0.1043),
        QuotedMatbench("ALIGNN", 0.0568, 0.0028, 0.1106),
        QuotedMatbench("DimeNet++ (kgcnn)", 0.0572, 0.0032, 0.1149),
        QuotedMatbench("SchNet (kgcnn)", 0.0590, 0.0022, 0.1143),
        QuotedMatbench("AMMExpress v2020", 0.0647, 0.0015, 0.1183),
        QuotedMatbench("MegNet (kgcnn)", 0.0668, 0.0034, 0.1287),
        QuotedMatbench("CGCNN v2019", 0.0712, 0.0028, 0.1301),
        QuotedMatbench("CrabNet", 0.0758, 0.0034, 0.1471),
        QuotedMatbench("RF-SCM/Magpie", 0.0820, 0.0027, 0.1454),
        QuotedMatbench("Dummy", 0.2897, 0.0043, 0.3693),
    ),
    "matbench_log_gvrh": (
        QuotedMatbench("coNGN", 0.0670, 0.0006, 0.1078),
        QuotedMatbench("coGN", 0.0689, 0.0009, 0.1102),
        QuotedMatbench("ALIGNN", 0.0715, 0.0006, 0.1123),
        QuotedMatbench("MODNet v0.1.12", 0.0731, 0.0007, 0.1103),
        QuotedMatbench("DimeNet++ (kgcnn)", 0.0792, 0.0011, 0.1255),
        QuotedMatbench("SchNet (kgcnn)", 0.0796, 0.0022, 0.1260),
        QuotedMatbench("MegNet (kgcnn)", 0.0871, 0.0013, 0.1358),
        QuotedMatbench("AMMExpress v2020", 0.0874, 0.0020, 0.1277),
        QuotedMatbench("CGCNN v2019", 0.0895, 0.0016, 0.1337),
        QuotedMatbench("CrabNet", 0.1014, 0.0017, 0.1604),
        QuotedMatbench("RF-SCM/Magpie", 0.1040, 0.0016, 0.1540),
        QuotedMatbench("Dummy", 0.2931, 0.0031, 0.3716),
    ),
    "matbench_dielectric": (
        QuotedMatbench("MODNet v0.1.12", 0.2711, 0.0714, 1.6832),
        QuotedMatbench("coGN", 0.3088, 0.0859, 2.0546),
        QuotedMatbench("coNGN", 0.3142, 0.0740, 2.0335),
        QuotedMatbench("AMMExpress v2020", 0.3150, 0.0672, 1.7202),
        QuotedMatbench("CrabNet", 0.3234, 0.0714, 1.7288),
        QuotedMatbench("SchNet (kgcnn)", 0.3277, 0.0829, 1.8990),
        QuotedMatbench("MegNet (kgcnn)", 0.3391, 0.0745, 1.9871),
        QuotedMatbench("DimeNet++ (kgcnn)", 0.3400, 0.0570, 1.9936),
        QuotedMatbench("ALIGNN", 0.3449, 0.0871, 1.9651),
        QuotedMatbench("RF-SCM/Magpie", 0.4196, 0.0750, 1.8538),
        QuotedMatbench("CGCNN v2019", 0.5988, 0.0833, 1.8976),
        QuotedMatbench("Dummy", 0.8088, 0.0718, 1.9728),
    ),
}
