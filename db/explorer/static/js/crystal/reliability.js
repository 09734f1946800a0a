// How far the numbers can be relied on, in words, and the badges beside the formula.

import { ask } from "../core/api.js";
import { element } from "../core/dom.js";
import { spacegroupNode } from "../core/spacegroups.js";

// Reliabilities of the tensors, and below which of them the server warns.
const SCORES = [
  ["reliability_dielectric_electronic", "ε∞"], ["reliability_dielectric_total", "ε0"], ["reliability_piezoelectric", "e"],
  ["reliability_elastic", "C"],
];
const LOW = 0.8;

/** One badge per finding, the good ones too. */
export function reliabilityBadges(facts, result) {
  const { derived } = result;
  const scores = result["trust"] ?? {};
  const badges = [];
  const add = (kind, text) => badges.push(element("span", { class: `badge ${kind}` }, text));
  if (scores.ood === true) add("bad", "far from the training data");
  else if (scores.ood === false) add("good", "near to the training data");
  // The model's stiffness is positive definite whatever the crystal: only the opposite would say something.
  if (derived.mechanically_stable === false) add("bad", "mechanically unstable");
  if (scores.metal) add("warn", "metal: no static response");
  for (const [name, symbol] of SCORES) if (typeof scores[name] === "number" && scores[name] < LOW) add("warn", `${symbol} of low reliability (${scores[name].toFixed(2)})`);
  if (derived.piezo_allowed === true) add("", "piezoelectric");
  if (result.symmetry_ambiguous) add("warn", "symmetry depends on the tolerance");
  if (scores.off_equilibrium) {
    const change = 100 * (scores.equilibrium_volume_ratio - 1);
    add("warn", `off equilibrium: relaxed volume ${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(0)} %`);
  }
  if (scores.open_framework) add("warn", "open framework");
  if (scores.defect_supercell) add("warn", "defect supercell");
  if (scores.molecular) add("warn", "molecular crystal");
  if (scores.layered) add("warn", "layered");
  if (scores.low_dimensional) add("warn", "slab or molecule");
  if (facts["twin_id"]) add("", "chiral");
  if (facts.inputs.some(({ doubts }) => doubts?.length)) add("warn", "doubtful input");
  return badges;
}

/** Sentences of the server where it gives them; the scores themselves beside them. */
export async function showReliability(box, { path, result, model }) {
  const { sentences } = await ask(`${path}/reliability`, { model });
  box.replaceChildren(element("ul", {}, sentences.map((text) => element("li", {}, text.replace(/^./, (letter) => letter.toUpperCase())))));
  const at = [["0.001", result.spacegroup_1e3], ["0.01", result.spacegroup_1e2], ["0.1", result.spacegroup_1e1]].filter(([, group]) => group !== null && group !== undefined);
  if (at.length) {
    box.append(element("table", {}, element("caption", {}, "Space group by the tolerance of the symmetry search"),
      element("tbody", {}, at.map(([symprec, group]) => element("tr", {}, element("th", { scope: "row" }, `${symprec} Å`), element("td", {}, spacegroupNode(group)))))));
  }
}
