// Structure and surface side by side: they share Cartesian axes, so one rotation serves both.

import { Latest, ask } from "../core/api.js";
import { byId, element, saveBlob } from "../core/dom.js";
import { number, unitText } from "../core/format.js";
import { colorScale, drawColorBar } from "../drawing/colors.js";
import { planeSection, surfaceMesh } from "../drawing/mesh.js";
import { polarNode } from "../drawing/polar.js";
import { VIEWS, matrixOf } from "../drawing/rotation.js";
import { linearTicks } from "../drawing/scales.js";
import { SurfaceView } from "../drawing/surface_view.js";
import { StructureView } from "../structure/structure_view.js";

// Pairs are drawn together: the larger one translucent around the smaller one.
const CHOICES = [
  { key: "young", label: "Young's modulus", names: ["young"], tensor: "elastic_voigt" },
  { key: "linear_compressibility", label: "Linear compressibility", names: ["linear_compressibility"], tensor: "elastic_voigt" },
  { key: "shear", label: "Shear modulus, lowest and highest", names: ["shear_min", "shear_max"], tensor: "elastic_voigt" },
  { key: "poisson", label: "Poisson's ratio, lowest and highest", names: ["poisson_min", "poisson_max"], tensor: "elastic_voigt" },
  { key: "piezo_longitudinal_d", label: "Piezoelectric d, longitudinal", names: ["piezo_longitudinal_d"], tensor: "piezoelectric" },
  { key: "piezo_longitudinal_e", label: "Piezoelectric e, longitudinal", names: ["piezo_longitudinal_e"], tensor: "piezoelectric" },
  { key: "thickness_coupling", label: "Thickness coupling factor", names: ["thickness_coupling"], tensor: "piezoelectric" },
  { key: "dielectric_total", label: "Dielectric constant, total", names: ["dielectric_total"], tensor: "dielectric_total" },
  { key: "dielectric_electronic", label: "Dielectric constant, electronic", names: ["dielectric_electronic"], tensor: "dielectric_electronic" },
  { key: "sound_longitudinal", label: "Sound velocity, longitudinal", names: ["sound_longitudinal"], tensor: "elastic_voigt" },
  { key: "sound_transverse", label: "Sound velocity, transverse", names: ["sound_transverse_slow", "sound_transverse_fast"], tensor: "elastic_voigt" },
];
const RESOLUTION = 49; // polar angles from pole to pole
const PLANES = [
  { axes: ["x", "y"], first: [1, 0, 0], second: [0, 1, 0], title: "xy plane" },
  { axes: ["x", "z"], first: [1, 0, 0], second: [0, 0, 1], title: "xz plane" },
  { axes: ["y", "z"], first: [0, 1, 0], second: [0, 0, 1], title: "yz plane" },
];

/** A direction with the signs of its reading: [1 0 0]. */
function directionText(vector) {
  return vector ? `[${vector.map((part) => number(Math.abs(part) < 5e-4 ? 0 : part, 3)).join(" ")}]` : "";
}

class SurfacePanel {
  #latest = new Latest(); #grids = []; #view = null; #choice = null;

  constructor(context) {
    this.context = context;
    this.canvas = byId("surface");
    try {
      this.#view = new SurfaceView(this.canvas, byId("surface-marks"));
    } catch (error) {
      this.canvas.after(element("p", { class: "note" }, error.message)); // sections and numbers are shown all the same
      byId("surface-png").hidden = true;
    }
    this.canvas.addEventListener("pointermove", (event) => this.#probe(event));
    this.canvas.addEventListener("pointerleave", () => { byId("surface-probe").hidden = true; });
    byId("surface-png").addEventListener("click", async () => saveBlob(await this.#view.picture(), `${this.#name()}.png`));
    byId("surface-csv").addEventListener("click", () => saveBlob(new Blob([this.#table()], { type: "text/csv" }), `${this.#name()}.csv`));
    this.#view && this.canvas.addEventListener("rotated", () => this.#drawFacing());
  }

  get view() {
    return this.#view;
  }

  /** Takes over a rotation that was made elsewhere. */
  follow(quaternion) {
    this.#view.setRotation(quaternion);
    this.#drawFacing();
  }

  #name() {
    return `${this.context.facts.id}-${this.#choice.key}`;
  }

  async show(choice) {
    byId("surface-error").textContent = "";
    this.#choice = choice;
    const signal = this.#latest.next();
    try {
      this.#grids = await Promise.all(choice.names.map((property) =>
        ask(`${this.context.path}/surface`, { property, n: RESOLUTION, model: this.context.model }, signal)));
    } catch (error) {
      if (error.name !== "AbortError") byId("surface-error").textContent = error.message;
      return;
    }
    this.#draw();
  }

  #limits() {
    const values = this.#grids.flatMap((grid) => grid.values.flat());
    const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
    return { low, high, largest: Math.max(Math.abs(low), Math.abs(high)) };
  }

  #draw() {
    const { low, high, largest } = this.#limits();
    const unit = unitText(this.#grids[0].unit);
    if (!largest) {
      byId("surface-error").textContent = "Zero in every direction: the point group forbids it.";
    }
    // The same in every direction, but for rounding: one colour, not a pattern of errors.
    const flat = high - low <= 1e-6 * largest;
    const scale = colorScale(low, flat ? low + Math.max(1, largest) : high);
    const marks = ["x", "y", "z"].map((text, axis) => ({ text, kind: "axis", vector: [0, 1, 2].map((each) => (each === axis ? 1.22 : 0)) }));
    this.#view?.show(this.#grids.map((grid, index) => ({ mesh: surfaceMesh(grid, largest, scale), alpha: index ? 0.32 : 1 })),
      { step: contourStep(low, high), marks });
    this.#legend(scale, unit, flat);
    this.#facts(unit);
    this.#sections(largest, unit);
    const label = `${this.#choice.label} of ${this.context.facts.formula} in every direction, ${number(low)} to ${number(high)} ${unit}`;
    this.canvas.setAttribute("aria-label", label);
  }

  #legend(scale, unit, flat) {
    const bar = element("canvas");
    drawColorBar(bar, scale);
    const legend = byId("surface-legend");
    legend.hidden = flat;
    legend.replaceChildren(bar, element("div", {}, element("span", {}, number(scale.low, 3)), element("span", {}, unit), element("span", {}, number(scale.high, 3))));
  }

  /** Extremes with their directions, as a table that needs no picture. */
  #facts(unit) {
    const rows = [["min", this.#grids[0]], ["max", this.#grids.at(-1)]].map(([end, grid]) => {
      const { value, direction, transverse } = extremeOf(grid, end);
      return element("tr", {}, element("th", { scope: "row" }, end === "min" ? "lowest" : "highest"),
        element("td", { class: "number" }, `${number(value)} ${unit}`), element("td", {}, directionText(direction)), element("td", {}, directionText(transverse)));
    });
    const across = this.#grids.some((grid) => extremeOf(grid, "max").transverse);
    const table = element("table", {}, element("thead", {}, element("tr", {}, ["", "value", "along", across ? "transverse to" : ""].map((text) => element(text ? "th" : "td", text ? { scope: "col" } : {}, text)))), element("tbody", {}, rows));
    byId("surface-facts").replaceChildren(element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Lowest and highest value" }, table));
  }

  #sections(largest, unit) {
    const figures = PLANES.map(({ axes, first, second, title }) => {
      const curves = this.#grids.map((grid, index) => ({ values: planeSection(grid, first, second), className: index ? "upper" : "" }));
      const text = `${this.#choice.label} in the ${title}${unit ? `, ${unit}` : ""}`;
      return element("figure", {}, polarNode({ curves, largest, axes, title: text }), element("figcaption", {}, title));
    });
    this.facing = element("figure", {});
    byId("sections").replaceChildren(...figures, this.facing);
    this.#drawFacing();
  }

  /** The section in the plane of the screen, which follows the rotation. */
  #drawFacing() {
    if (!this.#view || !this.facing) return;
    const [right, up] = matrixOf(this.#view.quaternion);
    const { largest } = this.#limits();
    const curves = this.#grids.map((grid, index) => ({ values: planeSection(grid, right, up, 180), className: index ? "upper" : "" }));
    this.facing.replaceChildren(polarNode({ curves, largest, axes: ["→", "↑"], title: `${this.#choice.label} in the plane of the screen` }), element("figcaption", {}, "plane of the screen"));
  }

  #probe(event) {
    const line = byId("surface-probe");
    const hit = event.buttons ? null : this.#view?.probe(event);
    line.hidden = !hit;
    if (hit) line.textContent = `${number(hit.value)} ${unitText(this.#grids[0].unit)} along ${directionText(hit.direction)}`;
  }

  #table() {
    const header = ["theta_rad", "phi_rad", ...this.#choice.names];
    const rows = this.#grids[0].theta.flatMap((theta, row) => this.#grids[0].phi.map((phi, column) =>
      [theta, phi, ...this.#grids.map((grid) => grid.values[row][column])].join(",")));
    return [header.join(","), ...rows].join("\n");
  }
}

/** An extreme as {value, direction, transverse}, whichever of the grid or a refined search the server gives. */
function extremeOf(grid, end) {
  const given = grid[end];
  if (typeof given === "object" && given !== null) return { value: given.value, direction: given.direction, transverse: given.transverse ?? null };
  return { value: given, direction: grid[`${end}_direction`] ?? null, transverse: grid[`${end}_transverse`] ?? null };
}

/** The distance of contour lines: about eight of them, at round values. */
function contourStep(low, high) {
  const ticks = linearTicks(low, high, 8);
  return ticks.length > 1 && high - low > 1e-6 * Math.abs(high) ? ticks[1] - ticks[0] : Math.abs(high) * 10 + 1;
}

/** Connects structure, surface and the controls below them. */
export async function setUpViews(context) {
  const panel = new SurfacePanel(context);
  const { result, facts } = context;
  const offered = new Set((await ask(`${context.path}/surfaces`, { model: context.model })).map(({ name }) => name));
  const nonzero = (tensor) => (result.tensors[tensor] ?? []).flat(3).some((entry) => entry !== 0);
  const weighed = typeof result.derived.density_g_per_cm3 === "number"; // sound needs a mass density
  const choices = CHOICES.filter(({ tensor, names, key }) => nonzero(tensor) && names.every((name) => offered.has(name)) && (weighed || !key.startsWith("sound")));
  const select = byId("surface-property");
  select.append(...choices.map(({ key, label }) => element("option", { value: key }, label)));
  const showChosen = () => panel.show(choices.find(({ key }) => key === select.value));
  const asked = new URLSearchParams(location.search).get("surface");
  if (choices.some(({ key }) => key === asked)) select.value = asked;
  select.addEventListener("change", () => {
    const query = new URLSearchParams(location.search);
    query.set("surface", select.value);
    history.replaceState(null, "", `?${query}`);
    showChosen();
  });
  const shown = choices.length ? showChosen() : Promise.resolve(); // both are fetched at the same time
  let structure = null;
  try {
    structure = await StructureView.create(byId("structure"));
    structure.show(facts);
    byId("species").replaceChildren(...structure.legend().map(({ symbol, color }) => {
      const item = element("li", {}, symbol);
      item.style.setProperty("--swatch", color);
      return item;
    }));
  } catch (error) {
    byId("structure").textContent = error.message;
  }
  await shown;
  linkViews(panel, structure, facts);
}

function linkViews(panel, structure, facts) {
  const linked = () => byId("link").checked;
  panel.canvas.addEventListener("rotated", () => { if (structure && linked()) structure.quaternion = panel.view.quaternion; });
  byId("structure").addEventListener("rotated", () => {
    if (!panel.view || !linked() || spinning) return;
    panel.follow(structure.quaternion);
  });
  let spinning = false;
  const spin = byId("spin");
  spin.addEventListener("click", () => {
    spinning = !spinning;
    spin.setAttribute("aria-pressed", String(spinning));
    panel.view?.spin(spinning);
  });
  for (const button of document.querySelectorAll("button.view")) {
    button.addEventListener("click", () => {
      const quaternion = VIEWS[button.dataset.view];
      if (structure) structure.quaternion = quaternion;
      panel.view?.setRotation(quaternion);
      panel.canvas.dispatchEvent(new CustomEvent("rotated"));
    });
  }
  byId("repeats").addEventListener("change", (event) => structure?.show(facts, event.target.value.split(",").map(Number)));
}
