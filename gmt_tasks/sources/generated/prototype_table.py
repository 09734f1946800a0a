"""Which structure types are decorated, with which ions, and how large these are.

The structures themselves are the AFLOW library of crystallographic prototypes as pymatgen ships it; a row here names
one of them and says which of its elements play the anions. Rows are chosen because ionic and polar-covalent compounds
crystallise in them; piezoelectric ones are well represented. Left out on purpose: entries whose shipped positions give
bonds that the real crystal does not have (anatase, brookite, coesite, tenorite, GeS2, HgBr2).
"""

from dataclasses import dataclass
from itertools import chain


@dataclass(frozen=True)
class Prototype:
    """One structure type.

    Attributes:
        name: how it is written in ids.
        aflow: AFLOW label; its third part is the space group.
        anions: elements of the library's example that are anions (the rest are cations).
        mineral: tells apart entries with the same label.
    """

    name: str
    aflow: str
    anions: tuple[str, ...]
    mineral: str | None = None

    @property
    def spacegroup(self) -> int:
        """International number of the undecorated type."""
        return int(self.aflow.split("_")[2])

    @property
    def piezo_allowed(self) -> bool:
        """True if the point group of the type has a piezoelectric tensor."""
        return self.spacegroup in PIEZO_SPACEGROUPS


PIEZO_SPACEGROUPS = frozenset(chain(
    range(1, 2), range(3, 10), range(16, 47), range(75, 83), range(89, 123), range(143, 147), range(149, 162),
    range(168, 175), range(177, 191), range(195, 200), range(215, 221),
))  # fmt: skip
"""Space groups of the 20 piezoelectric classes: no inversion, and not 432 (numbers 207 to 214)."""

PROTOTYPES: tuple[Prototype, ...] = (
    Prototype("AX-zincblende", "AB_cF8_216_c_a", ("S",)),
    Prototype("AX-wurtzite", "AB_hP4_186_b_b", ("S",)),
    Prototype("AX-moissanite-4H", "AB_hP8_186_ab_ab", ("C",)),
    Prototype("AX-moissanite-6H", "AB_hP12_186_a2b_a2b", ("C",)),
    Prototype("AX-moissanite-9R", "AB_hR6_160_3a_3a", ("C",)),
    Prototype("AX-cinnabar", "AB_hP6_154_a_b", ("S",)),
    Prototype("AX-millerite", "AB_hR6_160_b_b", ("S",)),
    Prototype("AX-layered-186", "AB_hP4_186_b_a", ("N",)),
    Prototype("AX-gaas-44", "AB_oI4_44_a_b", ("As",)),
    Prototype("ABX2-chalcopyrite", "ABC2_tI16_122_a_b_d", ("S",)),
    Prototype("ABX2-kasse2", "ABC2_aP16_1_4a_4a_8a", ("Se",)),
    Prototype("ABC2X4-stannite", "A2BC4D_tI16_121_d_a_i_b", ("S",)),
    Prototype("AB3X4-enargite", "AB3C4_oP16_31_a_ab_2ab", ("S",)),
    Prototype("AB3X4-lazarevicite", "AB3C4_cP8_215_a_c_e", ("S",)),
    Prototype("AB3X4-sulvanite", "A3B4C_cP8_215_d_e_a", ("S",)),
    Prototype("AB3X4-k3ass4", "AB3C4_oP32_33_a_3a_4a", ("S",)),
    Prototype("AB2X4-cdal2s4", "A2BC4_tI14_82_bc_a_g", ("S",)),
    Prototype("ABX4-bpo4", "AB4C_tI12_82_c_g_a", ("O",)),
    Prototype("ABX4-alps4", "ABC4_oP12_16_ag_cd_2u", ("S",)),
    Prototype("AX2-quartz-alpha", "A2B_hP9_152_c_a", ("O",)),
    Prototype("AX2-quartz-beta", "A2B_hP9_180_j_c", ("O",)),
    Prototype("AX2-cristobalite-alpha", "A2B_tP12_92_b_a", ("O",)),
    Prototype("AX2-tridymite-20", "A2B_oC24_20_abc_c", ("O",)),
    Prototype("AX2-keatite", "A2B_tP36_96_3b_ab", ("O",)),
    Prototype("AX2-moganite-like-3", "A2B_mP12_3_bc3e_2e", ("O",)),
    Prototype("AX3-crcl3-151", "A3B_hP24_151_3c_2a", ("Cl",)),
    Prototype("AX3-alf3-155", "AB3_hR8_155_c_de", ("F",)),
    Prototype("ABX3-linbo3", "ABC3_hR10_161_a_a_b", ("O",)),
    Prototype("ABX3-perovskite-P4mm", "A3BC_tP5_99_bc_a_b", ("O",)),
    Prototype("ABX3-perovskite-Cm", "A3BC_mC10_8_ab_a_a", ("O",)),
    Prototype("ABX-halfheusler", "ABC_cF12_216_b_c_a", ("As",)),
    Prototype("ABX-bapts-187", "ABC_hP3_187_a_d_f", ("Sb",)),
    Prototype("AX-rocksalt", "AB_cF8_225_a_b", ("Cl",)),
    Prototype("AX-cscl", "AB_cP2_221_b_a", ("Cl",)),
    Prototype("AX-nias", "AB_hP4_194_c_a", ("As",)),
    Prototype("AX-litharge", "AB_tP4_129_a_c", ("O",)),
    Prototype("AX-cooperite", "AB_tP4_131_c_e", ("S",)),
    Prototype("AX-beryllia-beta", "AB_tP8_136_g_f", ("O",)),
    Prototype("AX-tlf-57", "AB_oP8_57_d_d", ("F",)),
    Prototype("A2X-cuprite", "A2B_cP6_224_b_a", ("O",)),
    Prototype("A2X-antifluorite", "AB2_cF12_225_a_c", ("Ca",)),
    Prototype("A3X-na3as", "AB3_hP8_194_c_bf", ("As",)),
    Prototype("A3X-li3n", "A3B_hP4_191_bc_a", ("N",)),
    Prototype("AX2-fluorite", "AB2_cF12_225_a_c", ("F",)),
    Prototype("AX2-rutile", "A2B_tP6_136_f_a", ("O",)),
    Prototype("AX2-baddeleyite", "A2B_mP12_14_2e_e", ("O",)),
    Prototype("AX2-cotunnite", "A2B_oP12_62_2c_c", ("Cl",), "Cotunnite"),
    Prototype("AX2-hydrophilite", "AB2_oP6_58_a_g", ("Cl",), "Hydrophilite"),
    Prototype("AX2-cdi2", "AB2_hP3_164_a_d", ("I",)),
    Prototype("AX2-molybdenite", "AB2_hP6_194_c_f", ("S",)),
    Prototype("AX2-cristobalite-beta", "A2B_cF24_227_c_a", ("O",)),
    Prototype("AX2-tridymite-beta", "A2B_hP12_194_cg_f", ("O",)),
    Prototype("AX2-sis2", "A2B_oI12_72_j_a", ("S",)),
    Prototype("AX3-reo3", "A3B_cP4_221_d_a", ("O",)),
    Prototype("AX3-bii3", "AB3_hR8_148_c_f", ("I",)),
    Prototype("AX3-alcl3", "AB3_mC16_12_g_ij", ("Cl",)),
    Prototype("AX3-bif3", "AB3_cF16_225_a_bc", ("F",)),
    Prototype("A2X3-corundum", "A2B3_hR10_167_c_e", ("O",)),
    Prototype("A2X3-la2o3", "A3B2_hP5_164_ad_d", ("Al",)),
    Prototype("A2X3-sb2o3", "A3B2_oP20_56_ce_e", ("O",)),
    Prototype("A2X3-stibnite", "A3B2_oP20_62_3c_2c", ("S",)),
    Prototype("A2X3-tetradymite", "A2B3_hR5_166_c_ac", ("Te",)),
    Prototype("ABX2-caswellsilverite", "ABC2_hR4_166_a_b_c", ("S",)),
    Prototype("ABX2-chalcostibite", "AB2C_oP16_62_c_2c_c", ("S",)),
    Prototype("ABX2-srcuo2", "AB2C_oC16_63_c_2c_c", ("O",)),
    Prototype("ABX2-infinite-layer", "ABC2_tP4_123_d_a_f", ("O",)),
    Prototype("ABX3-perovskite", "AB3C_cP5_221_a_c_b", ("O",)),
    Prototype("ABX3-perovskite-Pnma", "AB3C_oP20_62_c_cd_a", ("O",)),
    Prototype("ABX3-ilmenite", "AB3C_hR10_148_c_f_c", ("O",)),
    Prototype("ABX3-calcite", "ABC3_hR10_167_a_b_e", ("O",), "Calcite"),
    Prototype("AB3X6-bixbyite", "AB3C6_cI80_206_a_d_e", ("O",)),
    Prototype("AB2X4-spinel", "A2BC4_cF56_227_d_a_e", ("O",)),
    Prototype("AB2X4-k2nif4", "AB2C4_tI14_139_a_e_ce", ("O",)),
    Prototype("ABX4-zircon", "A4BC_tI24_141_h_b_a", ("O",)),
    Prototype("ABC2X6-esseneite", "ABC6D2_mC40_15_e_e_3f_f", ("O",)),
    Prototype("ABX-libc", "ABC_hP6_194_c_d_a", ("C",)),
    Prototype("AXY-matlockite", "ABC_tP6_129_c_a_c", ("F", "Cl")),
    Prototype("ABXY-zrcusias", "ABCD_tP8_129_c_b_a_c", ("As", "Si")),
)

_OXIDATION_STATES = (
    "Li:1 Na:1 K:1 Rb:1 Cs:1 Cu:12 Ag:1 Tl:13 Be:2 Mg:2 Ca:2 Sr:2 Ba:2 Zn:2 Cd:2 Hg:2 Pb:24 Sn:4 Mn:24 "
    "Fe:23 Co:23 Ni:2 B:3 Al:3 Ga:3 In:3 Sc:3 Y:3 La:3 Ce:34 Nd:3 Sm:3 Gd:3 Er:3 Lu:3 Cr:3 V:35 Ti:4 Zr:4 "
    "Hf:4 Si:4 Ge:4 Te:4 Nb:5 Ta:5 P:5 As:35 Sb:35 Bi:35 Mo:6 W:6"
)
CATIONS: tuple[tuple[str, int], ...] = tuple(
    (entry.partition(":")[0], int(charge)) for entry in _OXIDATION_STATES.split() for charge in entry.partition(":")[2]
)
"""Cations and their oxidation states: main group, transition metals and the common rare earths; no noble gas, nothing
heavier than bismuth, no radioactive element."""


@dataclass(frozen=True)
class Anion:
    """An anion: charge (negative), crystal radii in angstrom up to and above coordination 4, highest cation charge."""

    charge: int
    radius_tetrahedral: float
    radius_octahedral: float
    max_cation_charge: int

    def radius(self, coordination: int) -> float:
        """Crystal radius in angstrom at a coordination number."""
        return self.radius_tetrahedral if coordination <= 4 else self.radius_octahedral


ANIONS: dict[str, Anion] = {
    "O": Anion(-2, 1.24, 1.26, 6),
    "S": Anion(-2, 1.60, 1.70, 5),
    "Se": Anion(-2, 1.71, 1.84, 4),
    "Te": Anion(-2, 1.89, 2.07, 4),
    "F": Anion(-1, 1.17, 1.19, 5),
    "Cl": Anion(-1, 1.61, 1.67, 4),
    "Br": Anion(-1, 1.72, 1.82, 4),
    "I": Anion(-1, 1.88, 2.06, 3),
    "N": Anion(-3, 1.34, 1.36, 5),
    "P": Anion(-3, 1.75, 1.80, 4),
    "As": Anion(-3, 1.84, 1.90, 4),
    "Sb": Anion(-3, 2.03, 2.07, 4),
}
"""Octahedral radii of O, F, S, Se, Te, Cl, Br, I: R. D. Shannon, Acta Crystallogr. A 32, 751 (1976). The others, and
all tetrahedral ones, are bond lengths of zinc blende and wurtzite (pnictides also rock salt) compounds less the
cation's Shannon radius: Shannon's are from oxides and halides and overestimate covalent bonds by up to 0.2 angstrom."""

DEFAULT_ELEMENTS: tuple[str, ...] = tuple(sorted({symbol for symbol, _ in CATIONS} | set(ANIONS)))
