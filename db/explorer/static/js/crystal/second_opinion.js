// What a potential says about the crystal: the facts of the command line in the same words, moduli and modes as tables.

import { address, ask } from "../core/api.js";
import { byId, element } from "../core/dom.js";
import { interval, nameNode, number, unitText } from "../core/format.js";

const FILES = [["cif", "CIF"], ["poscar", "POSCAR"], ["extxyz", "extxyz"]];

/** Badges beside the formula of what should not be overlooked. */
export function opinionBadges({ second_opinions: opinions }) {
  const columns = opinions?.[0]?.columns;
  if (!columns) return [];
  const badges = [["", "has a second opinion"]];
  if (columns.gamma_stable === false) badges.push(["bad", columns.polar_instability ? "unstable: ferroelectric candidate" : "unstable at the zone centre"]);
  if (columns.second_opinion_disagrees) badges.push(["warn", "network and potential disagree"]);
  return badges.map(([kind, text]) => element("span", { class: `badge ${kind}` }, text));
}

function scrolled(label, table) {
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);
}

function heads(texts) {
  return element("thead", {}, element("tr", {}, texts.map((text) => element("th", { scope: "col" }, text))));
}

function withInterval(value, ends) {
  return element("td", { class: "number" }, number(value), ends ? element("small", { class: "note" }, ` ${interval(...ends)}`) : null);
}

function moduliTable({ moduli, moduli_note: note }) {
  const rows = moduli.map((one) => element("tr", {}, element("th", { scope: "row", title: one.label }, nameNode(one.name), ` (${unitText(one.unit)})`),
    withInterval(one.network, one.network_interval), withInterval(one.potential, null), withInterval(one.combined, one.combined_interval)));
  return scrolled("Moduli", element("table", {}, element("caption", {}, note.replace(/^./, (letter) => letter.toUpperCase()), "; 90 % intervals"),
    heads(["", "network", "potential", "combined"]), element("tbody", {}, rows)));
}

function modesTable({ modes }) {
  const rows = modes.map((mode) => element("tr", {}, element("td", { class: "number" }, number(mode.frequency_thz)), element("td", { class: "number" }, String(mode.degeneracy)),
    element("td", {}, mode.irrep || "–"), element("td", {}, mode.polar ? "polar" : "–"),
    element("td", {}, mode.unstable ? element("span", { class: "badge bad" }, mode.remark) : "stable")));
  return element("details", { open: modes.some(({ unstable }) => unstable) }, element("summary", {}, `Modes at the zone centre (${modes.length})`),
    scrolled("Modes at the zone centre", element("table", {}, element("caption", {}, "Imaginary frequencies are negative"),
      heads(["THz", "degeneracy", "irrep", "dipole", ""]), element("tbody", {}, rows))));
}

function opinionNodes(report, path) {
  const files = FILES.map(([format, name]) => element("a", { class: "button", href: address(`${path}/structure`, { format, relaxed: true, model: report.model }), download: "" }, name));
  return [
    element("h3", {}, report.model),
    element("dl", { class: "facts" }, report.facts.map(([name, text]) => [element("dt", {}, name), element("dd", {}, text.replaceAll("angstrom", "Å"))])),
    moduliTable(report),
    report.modes.length ? modesTable(report) : null,
    report.notes.length ? element("ul", {}, report.notes.map((text) => element("li", {}, text))) : null,
    element("p", { class: "chips", role: "group", "aria-label": "Download the relaxed cell" }, element("span", { class: "note" }, "Relaxed cell "), files),
  ];
}

/** Fills the section and shows it; a crystal without a second opinion has none. */
export async function showOpinions(box, { facts, path }) {
  if (!facts.second_opinions?.length) return;
  byId("opinion-panel").hidden = false;
  const { rows } = await ask(`${path}/second-opinions`);
  box.replaceChildren(...rows.flatMap((report) => opinionNodes(report, path)).filter(Boolean));
}
