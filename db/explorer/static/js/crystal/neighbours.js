// What stands beside a crystal: published values, calculated tensors, and crystals that are like it.

import { ROOT, ask } from "../core/api.js";
import { element } from "../core/dom.js";
import { formulaNode, nameNode, number, timeText, unitText, valueText } from "../core/format.js";

function tableNode(heads, rows, caption) {
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, element("table", {}, element("caption", {}, caption),
    element("thead", {}, element("tr", {}, heads.map((head) => element("th", { scope: "col", class: head.nodeType ? "number" : "" }, head)))), element("tbody", {}, rows)));
}

/** Literature beside the prediction, then labels of first-principles calculations. */
export async function showLabels(box, { path, known, facts, model }) {
  const answer = await ask(`${path}/labels`, { model });
  const labels = Array.isArray(answer) ? answer : answer.labels ?? [];
  const literature = answer.literature ?? facts.literature ?? [];
  const nodes = [];
  if (literature.length) {
    const sources = [...new Set(literature.map(({ source }) => source ?? ""))];
    nodes.push(tableNode(["", "published", "predicted", "source"], literature.map((row) => element("tr", {},
      element("th", { scope: "row" }, known.has(row.property) ? [nameNode(row.property), ` ${unitText(known.get(row.property).unit)}`] : componentNode(row.property)),
      element("td", { class: "number" }, number(row.literature)), element("td", { class: "number" }, number(row.predicted)),
      element("td", {}, `[${sources.indexOf(row.source ?? "") + 1}]`))), "Literature"),
      element("ol", { class: "note" }, sources.map((source) => element("li", {}, source))));
  }
  if (labels.length) {
    nodes.push(tableNode(["kind", "from", "status", "value"], labels.map((label) => element("tr", {},
      element("th", { scope: "row" }, String(label.kind ?? label.tensor ?? "").replaceAll("_", " ")), element("td", {}, [label.provider ?? label.source, label.source_id].filter(Boolean).join(", ")),
      element("td", {}, label.status ?? label.decision ?? ""), element("td", {}, labelValue(label)))), "First-principles calculations in this database"));
  }
  box.replaceChildren(...(nodes.length ? nodes : [element("p", { class: "note" }, "Neither a published value nor a first-principles calculation is known for this crystal.")]));
}

const COMPONENT = /^(c|e|d|eps_total|eps_electronic)_?(\d\d)(_abs)?(?:_(gpa|c_per_m2|pc_per_n))?$/;
const COMPONENT_SYMBOLS = { c: ["C", ""], e: ["e", ""], d: ["d", ""], eps_total: ["ε", "0, "], eps_electronic: ["ε", "∞, "] };
const COMPONENT_UNITS = { gpa: "GPa", c_per_m2: "C/m²", pc_per_n: "pC/N" };

/** A component of a tensor as the field writes it: C with 11 set low, and its unit. */
function componentNode(name) {
  const match = COMPONENT.exec(name);
  if (!match) return name;
  const [, symbol, indices, absolute, unit] = match;
  const bar = absolute ? "|" : "";
  const [letter, kind] = COMPONENT_SYMBOLS[symbol];
  return [element("span", { class: "symbol" }, bar, letter, element("sub", {}, kind + indices), bar), unit ? ` ${COMPONENT_UNITS[unit]}` : ""];
}

function labelValue(label) {
  const value = label.value ?? label.scalar;
  if (typeof value === "number") return number(value);
  if (label.derived) return Object.entries(label.derived).filter(([, each]) => typeof each === "number").slice(0, 3).map(([name, each]) => `${name} ${number(each)}`).join(", ");
  return label.created ? timeText(label.created) : "";
}

/** Crystals that are like this one, with the numbers one compares first. */
export async function showSimilar(box, { path, known, model }) {
  const answer = await ask(`${path}/similar`, { model });
  const rows = Array.isArray(answer) ? answer : answer.rows ?? [];
  if (!rows.length) {
    box.replaceChildren(element("p", { class: "note" }, "None found."));
    return;
  }
  const hidden = new Set(["id", "formula"]);
  const names = [...new Set(rows.flatMap(Object.keys))].filter((name) => !hidden.has(name)).slice(0, 9);
  box.replaceChildren(tableNode(["formula", ...names.map((name) => (known.has(name) ? nameNode(name) : name.replaceAll("_", " ")))], rows.map((row) => element("tr", {},
    element("td", {}, element("a", { href: `${ROOT}/crystals/${encodeURIComponent(row.id)}` }, formulaNode(row.formula))),
    names.map((name) => element("td", { class: typeof row[name] === "number" ? "number" : "" }, valueText(row[name], known.get(name)?.kind))))), "The nearest first"));
}
