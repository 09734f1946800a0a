// Bounds of the isotropic polycrystal: Reuss and Voigt, Hashin-Shtrikman inside of them, the self-consistent value inside of these.

import { ask } from "../core/api.js";
import { element, svg } from "../core/dom.js";
import { nameNode, number, unitText } from "../core/format.js";

/** The bounds of a modulus on one line, the narrow ones inside of the wide ones. */
function boundsNode(title, { reuss, hsLower, selfConsistent, hsUpper, voigt }) {
  const room = (voigt - reuss) * 0.06 || voigt * 0.02 || 1;
  const [start, span] = [reuss - room, voigt - reuss + 2 * room];
  const place = (value) => 20 + (360 * (value - start)) / span;
  const known = (value) => typeof value === "number";
  const inner = known(hsLower) ? `Hashin-Shtrikman ${number(hsLower)} to ${number(hsUpper)}${known(selfConsistent) ? `, self-consistent ${number(selfConsistent)}` : ""}` : "";
  return svg("svg", { viewBox: "0 0 400 78", class: "bounds-chart", role: "img", "aria-label": `${title}: Reuss ${number(reuss)}, ${inner ? `${inner}, ` : ""}Voigt ${number(voigt)}` },
    svg("text", { x: 20, y: 16, class: "heading" }, title),
    svg("text", { x: 380, y: 16, "text-anchor": "end" }, inner),
    svg("line", { x1: place(reuss), x2: place(voigt), y1: 36, y2: 36, class: "lane" }),
    known(hsLower) ? svg("line", { x1: place(hsLower), x2: place(hsUpper), y1: 36, y2: 36, class: "hs" }) : null,
    known(selfConsistent) ? svg("circle", { cx: place(selfConsistent), cy: 36, r: 4.5, class: "sc" }) : null,
    svg("text", { x: place(reuss), y: 60, "text-anchor": "start" }, `Reuss ${number(reuss)}`),
    svg("text", { x: place(voigt), y: 60, "text-anchor": "end" }, `Voigt ${number(voigt)}`));
}

const TITLES = { elastic: "Isotropic averages", dielectric_electronic: "Electronic dielectric constant", dielectric_total: "Total dielectric constant" };
const DRAWN = /^[kg]_(voigt|reuss|hs_|self_)/;

function readable(name) {
  return name.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase());
}

/** A group of numbers; what the charts show already is left out. */
function groupNodes(title, numbers, known) {
  const rows = Object.entries(numbers).filter(([name, value]) => typeof value === "number" && !DRAWN.test(name)).map(([name, value]) => element("tr", { title: known.get(name)?.description },
    element("th", { scope: "row" }, known.has(name) ? [nameNode(name), " ", element("span", { class: "note" }, known.get(name).description)] : readable(name)),
    element("td", { class: "number" }, `${number(value)} ${unitText(known.get(name)?.unit ?? "1")}`)));
  return rows.length ? [element("h3", {}, TITLES[title] ?? readable(title)), element("table", {}, element("tbody", {}, rows))] : [];
}

/** Shows what the crystal becomes as a polycrystal of grains in all directions. */
export async function showPolycrystal(box, { path, result, model, known }) {
  const { derived } = result;
  const chart = (symbol, title) => (typeof derived[`${symbol}_reuss_gpa`] !== "number" ? null : boundsNode(title, {
    reuss: derived[`${symbol}_reuss_gpa`], voigt: derived[`${symbol}_voigt_gpa`],
    hsLower: derived[`${symbol}_hs_lower_gpa`], hsUpper: derived[`${symbol}_hs_upper_gpa`], selfConsistent: derived[`${symbol}_self_consistent_gpa`],
  }));
  const groups = await ask(`${path}/polycrystal`, { model });
  const charts = [chart("k", "Bulk modulus (GPa)"), chart("g", "Shear modulus (GPa)")].filter(Boolean);
  box.replaceChildren(...charts, ...Object.entries(groups).flatMap(([title, numbers]) => groupNodes(title, numbers, known)),
    element("p", { class: "note" }, "Grains in all directions, without texture. A piezoelectric crystal's grains cancel: the polycrystal has no piezoelectric effect until it is poled."));
}
