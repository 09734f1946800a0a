// Numbers, units, formulas and names of properties as people read them.

import { element } from "./dom.js";

const UNITS = { 1: "", "C/m^2": "C/m²", angstrom: "Å", "W/(m K)": "W/(m K)", "1/TPa": "TPa⁻¹", "mV m/N": "mV m/N" };

/** The unit for reading; ratios have none. */
export function unitText(unit) {
  return UNITS[unit] ?? (unit ?? "").replace("angstrom", "Å").replace("^2", "²").replace("^3", "³");
}

/** A number to so many significant digits, without trailing noise. */
export function number(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) {
    const [mantissa, exponent] = value.toExponential(Math.min(2, digits - 1)).split("e");
    return `${Number(mantissa)}e${Number(exponent)}`.replace(/-/g, "−");
  }
  const decimals = Math.max(0, Math.min(digits - 1 - Math.floor(Math.log10(size)), 6));
  const rounded = size >= 10 ** digits ? Number(value.toPrecision(digits)) : Number(value.toFixed(decimals));
  return rounded.toLocaleString("en", { maximumFractionDigits: decimals, useGrouping: size >= 1e5 }).replace("-", "−");
}

/** A count with separators. */
export function count(value) {
  return value.toLocaleString("en");
}

/** A 90 % interval, or an empty text. */
export function interval(low, high) {
  if (low === null || high === null || low === undefined || high === undefined) return "";
  return `${number(low, 3)} to ${number(high, 3)}`;
}

/** A chemical formula with its numbers set low. */
export function formulaNode(formula) {
  const pieces = String(formula ?? "").split(/(\d+(?:\.\d+)?)/).filter(Boolean);
  return element("span", { class: "formula" }, pieces.map((piece) => (/^\d/.test(piece) ? element("sub", {}, piece) : piece)));
}

const UNIT_SUFFIXES = [
  "w_per_m_k", "mv_m_per_n", "pc_per_n", "c_per_m2", "per_tpa", "m_per_s", "g_per_cm3", "ev_per_atom", "angstrom", "gpa", "ev", "k",
];
const SYMBOLS = {
  k: "K", g: "G", e: "e", d: "d", eps: "ε", young: "E", shear: "G", poisson: "ν", hardness: "H", density: "ρ",
  volume: "V", sound: "v", debye: "θ", linear: "β", birefringence: "Δn", thermal: "κ",
};
const NAMES = {
  id: ["id"], formula: ["formula"], formula_anonymous: ["prototype formula"], nelements: ["elements"], n_atoms: ["atoms"],
  spacegroup: ["space group"], point_group: ["point group"], refractive_index: ["n"], volume_per_atom: ["V", "atom"],
  band_gap_ev: ["E", "gap"], reliability_elastic: ["reliability", "C"], reliability_piezoelectric: ["reliability", "e"],
  reliability_dielectric_electronic: ["reliability", "ε∞"], reliability_dielectric_total: ["reliability", "ε0"], ood_score: ["distance score"], ood: ["out of distribution"],
  universal_anisotropy: ["A", "U"], log_euclidean_anisotropy: ["A", "L"], zener_anisotropy: ["A", "Z"],
  pugh_ratio: ["K/G"], k_coupling_max: ["k", "max"], debye_temperature_k: ["θ", "D"],
  eps_electronic_mean: ["ε", "∞ mean"], eps_electronic_min: ["ε", "∞ min"], eps_electronic_max: ["ε", "∞ max"],
  eps_total_mean: ["ε", "0 mean"], eps_total_min: ["ε", "0 min"], eps_total_max: ["ε", "0 max"],
  elastic_min_eigenvalue_gpa: ["C", "min eig."], sound_velocity_m_per_s: ["v", "mean"], g_max_mv_m_per_n: ["g", "max"], dg_max_per_tpa: ["d·g", "max"],
  k_self_consistent_gpa: ["K", "self-cons."], g_self_consistent_gpa: ["G", "self-cons."],
  potential_k_vrh_gpa: ["K", "VRH potential"], potential_g_vrh_gpa: ["G", "VRH potential"], gamma_stable: ["stable at Γ"],
  lowest_mode_thz: ["ν", "min Γ"], volume_ratio: ["V/V", "given"], e_above_hull_ev_per_atom: ["E", "above hull"],
  e_above_hull_uncertainty_ev_per_atom: ["±E", "above hull"], relaxation_energy_ev_per_atom: ["ΔE", "relaxation"],
  symmetry_breaking_energy_ev_per_atom: ["ΔE", "without symmetry"], energy_ev_per_atom: ["E", "atom"],
  max_displacement_angstrom: ["u", "max"], given_pressure_gpa: ["p", "given"], given_force_max_ev_per_angstrom: ["F", "max given"],
  symmetric_spacegroup: ["space group kept"], refined_spacegroup: ["space group without symmetry"], second_opinion_disagrees: ["potential disagrees"],
  polar_instability: ["polar instability"], n_hull_references: ["hull references"], refinement_seconds: ["t", "refine"],
  symmetry_ambiguous: ["symmetry ambiguous"], optic_sign: ["optic sign"], low_dimensional: ["slab or molecule"], open_framework: ["open framework"], defect_supercell: ["defect supercell"],
  off_equilibrium: ["off equilibrium"], equilibrium_volume_ratio: ["V0/V", "predicted"],
  linear_compressibility_min_per_tpa: ["β", "min"], linear_compressibility_max_per_tpa: ["β", "max"],
  thermal_conductivity_min_cahill_w_per_m_k: ["κ", "Cahill"], thermal_conductivity_min_clarke_w_per_m_k: ["κ", "Clarke"],
};
const ABBREVIATIONS = { vrh: "VRH", hs: "HS", voigt: "Voigt", reuss: "Reuss", chen: "Chen", tian: "Tian" };

/** The short name of a property: the field's symbol and what is set low beside it. */
export function shortName(name) {
  if (NAMES[name]) return NAMES[name];
  const suffix = UNIT_SUFFIXES.find((unit) => name.endsWith(`_${unit}`));
  const words = (suffix ? name.slice(0, -suffix.length - 1) : name).split("_");
  const symbol = SYMBOLS[words[0]];
  if (!symbol) return [words.join(" ")];
  return [symbol, words.slice(1).map((word) => ABBREVIATIONS[word] ?? word).join(" ")];
}

/** The short name as an element. */
export function nameNode(name) {
  const [symbol, low] = shortName(name);
  return element("span", { class: "symbol" }, symbol, low ? element("sub", {}, low) : null);
}

/** The short name with its unit as plain text, for axes and labels. */
export function axisText(property) {
  const [symbol, low] = shortName(property.name);
  const unit = unitText(property.unit);
  return `${symbol}${low ? ` ${low}` : ""}${unit ? ` (${unit})` : ""}`;
}

/** A value of any kind as a text. */
export function valueText(value, kind) {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.join(", ");
  if (value === "+" || value === "-") return value === "+" ? "positive" : "negative"; // optic sign
  if (kind === "flag" || typeof value === "boolean") return value ? "yes" : "no";
  if (kind === "integer") return String(value);
  return typeof value === "number" ? number(value) : String(value);
}

/** A time of the server (seconds since 1970) in the reader's zone. */
export function timeText(seconds) {
  if (!seconds) return "–";
  return new Date(seconds * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

/** A duration in the largest unit that keeps two figures. */
export function durationText(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${number(seconds / 3600, 2)} h`;
}
