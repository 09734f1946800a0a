// The tensors as matrices, in the frame of the input or in the IEEE frame; zeros that symmetry demands are dots.

import { ask } from "../core/api.js";
import { byId, element } from "../core/dom.js";
import { number, unitText } from "../core/format.js";

const TENSORS = {
  dielectric_electronic: ["Electronic dielectric tensor ε∞", "1"],
  dielectric_total: ["Total dielectric tensor ε0", "1"],
  piezoelectric: ["Piezoelectric stress tensor e", "C/m^2"],
  piezoelectric_strain: ["Piezoelectric strain tensor d", "pC/N"],
  elastic_voigt: ["Stiffness C", "GPa"],
  compliance_voigt: ["Compliance S", "1/TPa"],
};
const VOIGT = [[0, 0], [1, 1], [2, 2], [1, 2], [0, 2], [0, 1]];
const VOIGT_NAMES = ["11", "22", "33", "23", "13", "12"];

/** A 3×3×3 tensor as 3×6 in Voigt order; matrices stay as they are. */
export function printedMatrix(tensor) {
  if (!Array.isArray(tensor[0][0])) return tensor;
  return tensor.map((plane) => VOIGT.map(([row, column]) => plane[row][column]));
}

function matrixNode(name, matrix, unit) {
  const [title, defaultUnit] = TENSORS[name] ?? [name, ""];
  const largest = Math.max(...matrix.flat().map(Math.abs));
  const shown = unitText(unit ?? defaultUnit);
  const voigt = matrix[0].length === 6;
  const decimals = largest >= 100 ? 1 : largest >= 10 ? 2 : 3;
  const rows = matrix.map((row, index) => element("tr", {}, element("th", { scope: "row" }, matrix.length === 6 ? VOIGT_NAMES[index] : ["x", "y", "z"][index]),
    row.map((entry) => {
      const zero = Math.abs(entry) < largest * 1e-9 || entry === 0;
      const cell = element("td", { class: zero ? "zero" : "" }, zero ? "·" : entry.toFixed(decimals).replace("-", "−"));
      // The tint shows the pattern at a glance; the number stays readable on it.
      cell.style.setProperty("--tint", entry < 0 ? "var(--front)" : "var(--point)");
      cell.style.setProperty("--share", String(zero ? 0 : Math.round(6 + 26 * Math.abs(entry / largest))));
      return cell;
    })));
  const heads = voigt ? VOIGT_NAMES : ["x", "y", "z"];
  return element("div", { class: `tensor${voigt ? " wide" : ""}` }, element("h3", {}, title, shown ? ` (${shown})` : " (relative)"),
    largest === 0 ? element("p", { class: "note" }, "Zero: forbidden by the point group.")
      : element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, element("table", {}, element("thead", {}, element("tr", {}, element("td"), heads.map((text) => element("th", { scope: "col" }, text)))), element("tbody", {}, rows))));
}

function removedNote(name, result) {
  const notes = [];
  const radius = result.error_radius?.[name];
  if (radius) notes.push(`with 90 % probability the true tensor is within ${number(radius, 3)} (Frobenius distance)`);
  const removed = result.removed_fraction?.[name];
  if (removed > 1e-5) notes.push(`symmetrization removed ${number(100 * removed, 2)} %`);
  return notes.length ? element("p", { class: "note" }, `${notes.join("; ")}.`.replace(/^./, (letter) => letter.toUpperCase())) : null;
}

/** Shows the tensors and lets the frame be chosen. */
export async function setUpTensors({ path, result, model, facts }) {
  const show = async (frame) => {
    for (const button of document.querySelectorAll("button.frame")) button.setAttribute("aria-pressed", String(button.dataset.frame === frame));
    const note = byId("frame-note");
    let answer;
    try {
      answer = await ask(`${path}/tensors`, { frame, model });
    } catch (error) {
      note.textContent = error.message;
      return;
    }
    note.textContent = `${frame === "ieee" ? "IEEE frame" : "Input frame"}: ${answer.axes ?? facts.axes}. Voigt order 11, 22, 33, 23, 13, 12; e and C carry no factor 2.`;
    const nodes = Object.entries(answer.tensors).filter(([, tensor]) => tensor).map(([name, tensor]) => {
      const node = matrixNode(name, printedMatrix(tensor), answer.units?.[name]);
      const principal = answer.principal_values?.[name];
      if (principal) node.append(element("p", { class: "note" }, `${name === "elastic_voigt" ? "Eigenvalues of its Mandel form" : "Principal values"}: ${principal.map((value) => number(value)).join(", ")}`));
      const remark = removedNote(name, result);
      if (remark) node.append(remark);
      return node;
    });
    byId("tensors").replaceChildren(...nodes);
  };
  for (const button of document.querySelectorAll("button.frame")) button.addEventListener("click", () => show(button.dataset.frame));
  await show("input");
}
