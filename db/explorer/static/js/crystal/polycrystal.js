// Bounds of the isotropic polycrystal: Reuss and Voigt, Hashin-Shtrikman inside of them, the self-consistent value inside of these.

import { ask } from "../core/api.js";
import { element, svg } from "../core/dom.js";
import { number, unitText } from "../core/format.js";

/** Five numbers of a modulus on one line. */
function boundsNode(title, { reuss, hsLower, selfConsistent, hsUpper, voigt }) {
  const room = (voigt - reuss) * 0.08 || voigt * 0.02 || 1;
  const [start, span] = [reuss - room, voigt - reuss + 2 * room];
  const place = (value) => 20 + (360 * (value - start)) / span;
  return svg("svg", { viewBox: "0 0 400 64", class: "bounds-chart", role: "img", "aria-label": `${title}: Reuss ${number(reuss)}, Voigt ${number(voigt)}` },
    svg("line", { x1: place(reuss), x2: place(voigt), y1: 34, y2: 34, class: "lane" }),
    hsLower === undefined ? null : svg("line", { x1: place(hsLower), x2: place(hsUpper), y1: 34, y2: 34, class: "hs" }),
    selfConsistent === undefined ? null : svg("circle", { cx: place(selfConsistent), cy: 34, r: 4.5, class: "sc" }),
    svg("text", { x: place(reuss), y: 58, "text-anchor": "start" }, `Reuss ${number(reuss)}`),
    svg("text", { x: place(voigt), y: 58, "text-anchor": "end" }, `Voigt ${number(voigt)}`),
    svg("text", { x: 200, y: 16, "text-anchor": "middle" }, title));
}

function humanName(key) {
  return key.replace(/_(gpa|pc_per_n|c_per_m2|m_per_s|w_per_m_k)$/, "").replaceAll("_", " ");
}

const KEY_UNITS = [["_gpa", "GPa"], ["_pc_per_n", "pC/N"], ["_c_per_m2", "C/m^2"], ["_m_per_s", "m/s"], ["_w_per_m_k", "W/m/K"], ["_per_tpa", "1/TPa"]];

function valueNode(key, value) {
  const unit = unitText(KEY_UNITS.find(([suffix]) => key.endsWith(suffix))?.[1] ?? "");
  if (typeof value === "number") return `${number(value)} ${unit}`;
  if (Array.isArray(value) && typeof value[0] === "number") return `${value.map((each) => number(each)).join(", ")} ${unit}`;
  return null;
}

/** Every number of the answer, nested groups as their own headings; matrices are left to the tensors. */
function groupNodes(group, title) {
  const rows = Object.entries(group).map(([key, value]) => {
    const text = valueNode(key, value);
    return text ? element("tr", {}, element("th", { scope: "row" }, humanName(key)), element("td", { class: "number" }, text)) : null;
  }).filter(Boolean);
  const inner = Object.entries(group).filter(([, value]) => value && typeof value === "object" && !Array.isArray(value)).map(([key, value]) => groupNodes(value, humanName(key)));
  return [title ? element("h3", {}, title.replace(/^./, (letter) => letter.toUpperCase())) : null, rows.length ? element("table", {}, element("tbody", {}, rows)) : null, ...inner];
}

/** Shows what the crystal becomes as a polycrystal. */
export async function showPolycrystal(box, { path, result, model }) {
  const { derived } = result;
  const chart = (symbol, title) => (derived[`${symbol}_reuss_gpa`] === undefined || derived[`${symbol}_reuss_gpa`] === null ? null : boundsNode(title, {
    reuss: derived[`${symbol}_reuss_gpa`], voigt: derived[`${symbol}_voigt_gpa`],
    hsLower: derived[`${symbol}_hs_lower_gpa`], hsUpper: derived[`${symbol}_hs_upper_gpa`], selfConsistent: derived[`${symbol}_self_consistent_gpa`],
  }));
  const answer = await ask(`${path}/polycrystal`, { model }).catch((error) => ({ error: error.message }));
  const charts = [chart("k", "Bulk modulus (GPa)"), chart("g", "Shear modulus (GPa)")].filter(Boolean);
  box.replaceChildren(...charts, ...(answer.error ? [element("p", { class: "note" }, answer.error)] : groupNodes(answer, "")).flat(Infinity).filter(Boolean));
}
