// A crystal's page: identity, structure and surface side by side, numbers, tensors, and where all of it came from.

import { ROOT, address, ask, properties } from "../core/api.js";
import { byId, element } from "../core/dom.js";
import { formulaNode, number } from "../core/format.js";
import { spacegroupNode, systemOf } from "../core/spacegroups.js";
import { showLabels, showSimilar } from "./neighbours.js";
import { showNumbers } from "./numbers.js";
import { showPolycrystal } from "./polycrystal.js";
import { opinionBadges, showOpinions } from "./second_opinion.js";
import { showProvenance } from "./provenance.js";
import { reliabilityBadges, showReliability } from "./reliability.js";
import { setUpViews } from "./views.js";
import { setUpTensors } from "./tensors.js";

const FILES = [["cif", "CIF"], ["poscar", "POSCAR"], ["extxyz", "extxyz"]];

/** Formula, symmetry and files to take home. */
function showIdentity(facts, result) {
  document.title = `${facts.formula} · gmtscreen`;
  byId("formula").replaceChildren(formulaNode(facts.formula));
  const names = facts.source_ids.slice(0, 3).join(", ") + (facts.source_ids.length > 3 ? ` and ${facts.source_ids.length - 3} more` : "");
  byId("identity").replaceChildren(element("span", { class: "mono" }, facts.id), names ? ` · ${names}` : "",
    ...(result ? [" · ", spacegroupNode(result.spacegroup), `, ${systemOf(result.spacegroup)}, point group `, result.point_group ?? "–", ` · ${result.model}`] : []));
  const path = `crystals/${encodeURIComponent(facts.id)}`;
  byId("downloads").replaceChildren(
    ...FILES.map(([format, name]) => element("a", { class: "button", href: address(`${path}/structure`, { format }), download: `${facts.id}.${format === "poscar" ? "vasp" : format}` }, name)),
    element("a", { class: "button", href: address(path), download: `${facts.id}.json` }, "JSON"));
  const lengths = facts.lattice.map((row) => Math.hypot(...row));
  const angle = (p, q) => (Math.acos(Math.max(-1, Math.min(1, facts.lattice[p].reduce((sum, x, axis) => sum + x * facts.lattice[q][axis], 0) / lengths[p] / lengths[q]))) * 180) / Math.PI;
  byId("cell").textContent = `a, b, c = ${lengths.map((length) => number(length, 5)).join(", ")} Å; α, β, γ = ${[angle(1, 2), angle(0, 2), angle(0, 1)].map((each) => number(each, 4)).join(", ")}°; ${facts.n_atoms} atoms, ${number(facts.volume_per_atom)} Å³ per atom. Axes: ${facts.axes}.`;
}

/** The results of several models: one is shown, the others can be chosen. */
function chooseResult(facts) {
  const wanted = new URLSearchParams(location.search).get("model");
  const result = facts.results.find(({ model }) => model === wanted) ?? facts.results.find(({ model_state: state }) => state === "current") ?? facts.results[0];
  if (facts.results.length > 1) {
    const box = byId("model-choice");
    box.hidden = false;
    const select = element("select", { onchange: () => { location.search = new URLSearchParams({ model: select.value }); } },
      facts.results.map(({ model, model_state: state }) => element("option", { value: model, selected: model === result.model }, `${model} (${state})`)));
    box.replaceChildren(element("label", { class: "field" }, "Model version ", select));
  }
  return result;
}

/** A part of the page that fails says so in its own place; the others stay. */
async function guarded(id, show) {
  try {
    await show();
  } catch (error) {
    byId(id).replaceChildren(element("p", { class: "note" }, error.message));
  }
}

async function start() {
  const id = byId("crystal").dataset.id;
  // The search page leaves its address behind; the referrer is not sent, by the server's own headers.
  byId("back").href = sessionStorage.getItem("gmtscreen-search") ?? byId("back").href;
  const [facts, known] = await Promise.all([ask(`crystals/${encodeURIComponent(id)}`), properties()]);
  const result = chooseResult(facts);
  showIdentity(facts, result);
  byId("facts").hidden = false;
  if (!result) {
    byId("crystal-error").textContent = "This crystal has no result yet: screen its source, or look at the rejects of its run.";
    return;
  }
  byId("warnings").replaceChildren(...result.warnings.map((text) => element("li", {}, text)));
  byId("badges").replaceChildren(...reliabilityBadges(facts, result), ...opinionBadges(facts));
  const context = { facts, result, known, path: `crystals/${encodeURIComponent(facts.id)}`, model: result.model };
  showNumbers(byId("numbers"), context);
  showProvenance(byId("provenance"), context);
  await Promise.all([
    guarded("surface-error", () => setUpViews(context)),
    guarded("tensors", () => setUpTensors(context)),
    guarded("polycrystal", () => showPolycrystal(byId("polycrystal"), context)),
    guarded("reliability", () => showReliability(byId("reliability"), context)),
    guarded("labels", () => showLabels(byId("labels"), context)),
    guarded("opinion", () => showOpinions(byId("opinion"), context)),
    guarded("similar", () => showSimilar(byId("similar"), context)),
  ]);
}

start().catch((error) => {
  byId("crystal-error").textContent = error.message;
});
