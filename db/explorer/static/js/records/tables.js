// Tables and lists that the pages of runs and models share.

import { element } from "../core/dom.js";

/** A table that scrolls sideways; cells are texts or nodes, numbers stand right, as do the columns named in `right`. */
export function tableNode(heads, rows, caption = "", right = []) {
  const cell = (value, index) => element(index === 0 ? "th" : "td", index === 0 ? { scope: "row" } : { class: typeof value === "number" || right.includes(index) ? "number" : "" },
    typeof value === "number" ? value.toLocaleString("en", { maximumFractionDigits: 3 }) : value ?? "–");
  const numeric = heads.map((_, index) => index > 0 && (right.includes(index) || rows.some((row) => typeof row[index] === "number")));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption || String(heads[0]) },
    element("table", {}, caption ? element("caption", {}, caption) : null, element("thead", {}, element("tr", {}, heads.map((head, index) => element("th", { scope: "col", class: numeric[index] ? "number" : "" }, head)))),
      element("tbody", {}, rows.map((row) => element("tr", {}, row.map(cell))))));
}

/** A source; long ones of made crystals break between their parameters. */
export function sourceNode(source) {
  return element("span", { class: "source" }, String(source).split(/(?<=[,+/:])/).flatMap((part) => [part, element("wbr")]));
}

/** Figures with their names. */
export function tilesNode(entries) {
  return element("dl", { class: "tiles" }, entries.filter(([, value]) => value !== null && value !== undefined).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

/** A part of the page with a heading. */
export function sectionNode(title, ...children) {
  return element("section", { class: "panel" }, element("h2", {}, title), children);
}
