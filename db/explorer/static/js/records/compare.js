// Crystals side by side: structures, and every number with its interval on a scale that all of them share.

import { ROOT, ask, properties } from "../core/api.js";
import { byId, element } from "../core/dom.js";
import { formulaNode, interval, nameNode, number, unitText, valueText } from "../core/format.js";
import { spacegroupNode } from "../core/spacegroups.js";
import { columnScale, intervalBar } from "../drawing/interval.js";
import { StructureView } from "../structure/structure_view.js";

const MAX_CRYSTALS = 6;

function row(name, property, results) {
  const values = results.map((result) => result.derived[name] ?? result.opinion?.[name]);
  const ends = results.map((result) => result.uncertainty?.[name]);
  if (values.every((value) => value === null || value === undefined) || (name === "mechanically_stable" && !values.includes(false))) return null;
  const scale = columnScale([...values, ...ends.flat()].filter((value) => typeof value === "number"));
  return element("tr", { title: property.description }, element("th", { scope: "row" }, nameNode(name), " ", element("span", { class: "note" }, unitText(property.unit))),
    values.map((value, index) => element("td", { class: typeof value === "number" ? "number" : "" },
      typeof value === "number" ? number(value) : valueText(value, property.kind),
      ends[index] && typeof value === "number" ? [intervalBar(value, ...ends[index], scale), element("small", { class: "note" }, interval(...ends[index]))] : null)));
}

async function start() {
  const ids = (new URLSearchParams(location.search).get("ids") ?? "").split(",").filter(Boolean).slice(0, MAX_CRYSTALS);
  if (!ids.length) throw new Error("No crystal is named. Choose some in the table of the explorer.");
  const [known, ...all] = await Promise.all([properties(), ...ids.map((id) => ask(`crystals/${encodeURIComponent(id)}`))]);
  const results = all.map((facts) => facts.results.find(({ model_state: state }) => state === "current") ?? facts.results[0] ?? { derived: {}, uncertainty: {} })
    .map((result, index) => ({ ...result, opinion: all[index].second_opinions[0]?.columns }));
  const heads = all.map((facts) => element("th", { scope: "col" }, element("a", { href: `${ROOT}/crystals/${encodeURIComponent(facts.id)}` }, formulaNode(facts.formula))));
  const boxes = all.map(() => element("div", { class: "viewer", role: "img" }));
  const facts = (label, text) => element("tr", {}, element("th", { scope: "row" }, label), text.map((each) => element("td", {}, each)));
  const names = [...known.keys()].filter((name) => results.some((result) => name in result.derived || name in (result.opinion ?? {})));
  byId("records").replaceChildren(element("section", { class: "panel" }, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Comparison" },
    element("table", { class: "compared" }, element("thead", {}, element("tr", {}, element("td"), heads)), element("tbody", {},
      facts("structure", boxes), facts("space group", results.map((result) => [spacegroupNode(result.spacegroup), `, point group ${result.point_group ?? "–"}`])),
      facts("warnings", results.map((result) => result.warnings?.join("; ") || "none")),
      names.map((name) => row(name, known.get(name), results)))))));
  for (const [index, box] of boxes.entries()) {
    const view = await StructureView.create(box);
    view.show(all[index]);
  }
}

start().catch((error) => {
  byId("records").replaceChildren();
  byId("records-error").textContent = error.message;
});
