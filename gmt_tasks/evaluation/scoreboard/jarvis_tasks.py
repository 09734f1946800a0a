"""Tasks of the JARVIS leaderboard that bear on our tensors, and which of our numbers each one asks for."""

from dataclasses import dataclass

from gmt_tasks.evaluation.scoreboard.own_models import Wanted

_FRAME = (
    "The component is along a Cartesian axis of JARVIS's cell; ours is taken in the same cell as listed, which the "
    "files do not prove to be the frame of their calculation."
)
_OPT = (
    "JARVIS's number is the static limit of its optical calculation without local fields ({}), metals included; ours "
    "is the electronic tensor of density functional perturbation theory (PBE), which no metal has: its network never "
    "saw one, so that the error on metals says little."
)
_MODULI = (
    "Our labels are the Materials Project's (PBE), JARVIS's are OptB88vdW: between such codes K of the same crystal "
    "differs by 2.3 %, G by 5.6 % in the median."
)


@dataclass(frozen=True)
class JarvisTask:
    """One task of the leaderboard.

    Attributes:
        category: "AI" (against JARVIS-DFT, with train, val and test) or "ES" (calculations against experiment).
        key: the property in the names of its files.
        title, unit: for readers.
        wanted: the number of ours that answers it.
        caution: where definitions differ.
    """

    category: str
    key: str
    title: str
    unit: str
    wanted: Wanted
    caution: str

    @property
    def name(self) -> str:
        """Name of the task on the leaderboard."""
        return f"{self.category}-SinglePropertyPrediction-{self.key}-dft_3d-test-mae"

    @property
    def benchmark_file(self) -> str:
        """Name of the zip file with ids and values by split."""
        return f"dft_3d_{self.key}.json.zip"

    @property
    def contribution_file(self) -> str:
        """Name of the zip file of every contribution."""
        return f"{self.name}.csv.zip"


_AXES = (("x", Wanted.EPS_XX), ("y", Wanted.EPS_YY), ("z", Wanted.EPS_ZZ))
TASKS: tuple[JarvisTask, ...] = (
    JarvisTask("AI", "bulk_modulus_kv", "bulk modulus, Voigt", "GPa", Wanted.K_VOIGT, _MODULI),
    JarvisTask("AI", "shear_modulus_gv", "shear modulus, Voigt", "GPa", Wanted.G_VOIGT, _MODULI),
    *(
        JarvisTask("AI", f"eps{x}", f"ε{x}{x}, OptB88vdW optics", "1", wanted, _OPT.format("OptB88vdW") + " " + _FRAME)
        for x, wanted in _AXES
    ),
    *(
        JarvisTask("AI", f"meps{x}", f"ε{x}{x}, TBmBJ optics", "1", wanted, _OPT.format("TBmBJ") + " " + _FRAME)
        for x, wanted in _AXES
    ),
    JarvisTask(
        "AI",
        "dfpt_piezo_max_dielectric",
        "largest entry of the total dielectric tensor",
        "1",
        Wanted.EPS_TOTAL_MAX,
        "JARVIS's number is the largest entry of ε∞ plus the ionic part (OptB88vdW). " + _FRAME,
    ),
    JarvisTask(
        "AI",
        "dfpt_piezo_max_dij",
        "largest entry of d",
        "pC/N",
        Wanted.D_MAX,
        "JARVIS's number is the largest |d_ij| (OptB88vdW); ours is the largest entry of e C⁻¹. " + _FRAME,
    ),
    JarvisTask("ES", "bulk_modulus", "bulk modulus, against experiment", "GPa", Wanted.K_VRH, "Contributions are DFT."),
    JarvisTask("ES", "epsx", "εxx, against experiment", "1", Wanted.EPS_XX, f"Contributions are DFT. {_FRAME}"),
    JarvisTask(
        "ES", "max_piezoelec", "largest entry of e, against experiment", "C/m²", Wanted.E_MAX, "Contributions are DFT."
    ),
)


def tasks_named(names: tuple[str, ...]) -> tuple[JarvisTask, ...]:
    """The tasks with these keys; all of them when none is named."""
    return tuple(task for task in TASKS if not names or task.key in names)
