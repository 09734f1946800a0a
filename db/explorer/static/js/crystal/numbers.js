// Derived properties by group, each with its unit and its 90 % interval drawn.

import { element } from "../core/dom.js";
import { interval, nameNode, number, unitText, valueText } from "../core/format.js";
import { intervalBar, ownScale } from "../drawing/interval.js";

const ORDER = ["elastic", "piezoelectric", "dielectric", "thermal"];

/** Fills the box with one table per group. */
export function showNumbers(box, { result, known }) {
  const groups = new Map();
  for (const [name, value] of Object.entries(result.derived)) {
    const property = known.get(name);
    // By construction every predicted stiffness is positive definite: that this one is says nothing.
    if (value === null || !property || (name === "mechanically_stable" && value)) continue;
    groups.set(property.group, [...(groups.get(property.group) ?? []), { property, value, ends: result.uncertainty?.[name] }]);
  }
  const rank = (group) => (ORDER.includes(group) ? ORDER.indexOf(group) : ORDER.length);
  box.replaceChildren(...[...groups].sort((a, b) => rank(a[0]) - rank(b[0])).map(([group, rows]) => {
    const lines = rows.map(({ property, value, ends }) => element("tr", { title: `${property.description} (${property.name})` },
      element("th", { scope: "row" }, nameNode(property.name), element("span", { class: "visually-hidden" }, ` ${property.description}`)),
      element("td", {}, `${typeof value === "number" ? number(value) : valueText(value, property.kind)} ${unitText(property.unit)}`),
      element("td", {}, ends ? [intervalBar(value, ...ends, ownScale(value, ends)), element("small", {}, interval(...ends))] : null)));
    return element("section", {}, element("h3", {}, group), element("table", {}, element("tbody", {}, lines)));
  }));
}
