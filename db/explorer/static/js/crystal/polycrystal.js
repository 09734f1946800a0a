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
  return svg("svg", { viewBox: "0 0 400 84", class: "bounds-chart", role: "img", "aria-label": `${title}: Reuss ${number(reuss)}, ${inner ? `${inner}, ` : ""}Voigt ${number(voigt)}` },
    svg("text", { x: 20, y: 16, class: "heading" }, title),
    svg("text", { x: 200, y: 73, "text-anchor": "middle" }, inner),
    svg("line", { x1: place(reuss), x2: place(voigt), y1: 36, y2: 36, class: "lane" }),
    known(hsLower) ? svg("line", { x1: place(hsLower), x2: place(hsUpper), y1: 36, y2: 36, class: "hs" }) : null,
    known(selfConsistent) ? svg("circle", { cx: place(selfConsistent), cy: 36, r: 4.5, class: "sc" }) : null,
    svg("text", { x: place(reuss), y: 55, "text-anchor": "start" }, `Reuss ${number(reuss)}`),
    svg("text", { x: place(voigt), y: 55, "text-anchor": "end" }, `Voigt ${number(voigt)}`));
}

const TITLES = { elastic: "Isotropic averages", dielectric_electronic: "Electronic dielectric constant", dielectric_total: "Total dielectric constant" };
const DRAWN = /^[kg]_(voigt|reuss|hs_|self_)/;

function readable(name) {
  return name.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase());
}

const NAMES = { wiener_lower: "Wiener, lower", wiener_upper: "Wiener, upper", hs_lower: "Hashin-Shtrikman, lower", hs_upper: "Hashin-Shtrikman, upper", self_consistent: "Self-consistent" };
const CONE = /^d(\d\d)_cone_(\d+)_deg_pc_per_n$/;

/** What a number that is no property of the crystal is called, and its unit. */
function namedNode(name) {
  const [, indices, angle] = CONE.exec(name) ?? [];
  if (!indices) return [NAMES[name] ?? readable(name), ""];
  return [[element("span", { class: "symbol" }, "d", element("sub", {}, indices)), ` polar axes within ${angle}° of the field`], "pC/N"];
}

/** A group of numbers; what the charts show already is left out. */
function groupNodes(title, numbers, known) {
  const rows = Object.entries(numbers).filter(([name, value]) => typeof value === "number" && !DRAWN.test(name) && known.get(name)?.group !== "piezoelectric").map(([name, value]) => element("tr", { title: known.get(name)?.description },
    element("th", { scope: "row" }, known.has(name) ? [nameNode(name), " ", element("span", { class: "note" }, known.get(name).description)] : namedNode(name)[0]),
    element("td", { class: "number" }, `${number(value)} ${known.has(name) ? unitText(known.get(name).unit) : namedNode(name)[1]}`)));
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
