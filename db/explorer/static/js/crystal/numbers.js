// Derived properties by group, each with its unit and its 90 % interval drawn.

import { element, svg } from "../core/dom.js";
import { interval, nameNode, number, unitText, valueText } from "../core/format.js";

const ORDER = ["elastic", "piezoelectric", "dielectric", "thermal"];

/** The interval of one number, from a little below its lower end to a little above its upper end, 0 marked if inside. */
function intervalNode(value, [low, high]) {
  const room = (high - low) * 0.12 || Math.abs(value) * 0.1 || 1;
  const [start, span] = [low - room, high - low + 2 * room];
  const place = (each) => (100 * (each - start)) / span;
  return svg("svg", { class: "interval-bar", viewBox: "0 0 100 9", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("line", { x1: place(low), x2: place(high), y1: 4.5, y2: 4.5, class: "range", "vector-effect": "non-scaling-stroke" }),
    svg("rect", { x: place(value) - 1, y: 0.5, width: 2, height: 8, class: "value" }));
}

/** Fills the box with one table per group. */
export function showNumbers(box, { result, known }) {
  const groups = new Map();
  for (const [name, value] of Object.entries(result.derived)) {
    const property = known.get(name);
    if (value === null || !property) continue;
    groups.set(property.group, [...(groups.get(property.group) ?? []), { property, value, ends: result.uncertainty?.[name] }]);
  }
  const rank = (group) => (ORDER.includes(group) ? ORDER.indexOf(group) : ORDER.length);
  box.replaceChildren(...[...groups].sort((a, b) => rank(a[0]) - rank(b[0])).map(([group, rows]) => {
    const lines = rows.map(({ property, value, ends }) => element("tr", { title: `${property.description} (${property.name})` },
      element("th", { scope: "row" }, nameNode(property.name), element("span", { class: "visually-hidden" }, ` ${property.description}`)),
      element("td", {}, `${typeof value === "number" ? number(value) : valueText(value, property.kind)} ${unitText(property.unit)}`),
      element("td", {}, ends ? [intervalNode(value, ends), element("small", {}, interval(...ends))] : null)));
    return element("section", {}, element("h3", {}, group), element("table", {}, element("tbody", {}, lines)));
  }));
}
