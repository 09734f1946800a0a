// The scatter plot with its controls, and the crystal that is pointed at.

import { Latest, ROOT, ask } from "../core/api.js";
import { announce, byId, debounce, element } from "../core/dom.js";
import { axisText, formulaNode, interval, nameNode, number, unitText } from "../core/format.js";
import { spacegroupNode } from "../core/spacegroups.js";
import { withRange } from "../core/terms.js";
import { drawColorBar } from "../drawing/colors.js";
import { Scatter } from "../drawing/scatter.js";
import { StructureView } from "../structure/structure_view.js";

const MAX_POINTS = 5000;
const SHOWN = ["k_vrh_gpa", "g_vrh_gpa", "e_max_c_per_m2", "d_max_pc_per_n", "eps_electronic_mean", "eps_total_mean", "band_gap_ev"];

class Preview {
  #facts = new Map(); #view = null; #shown = null;

  constructor(known) {
    this.known = known;
  }

  /** Shows a crystal; what was fetched once is kept, since the pointer comes back. */
  show = debounce(async (id) => {
    if (!id || this.#shown === id) return;
    this.#shown = id;
    const facts = this.#facts.get(id) ?? await ask(`crystals/${encodeURIComponent(id)}`).catch(() => null);
    if (!facts || this.#shown !== id) return;
    this.#facts.set(id, facts);
    this.#write(facts);
    try {
      this.#view ??= await StructureView.create(byId("preview-structure"));
      this.#view.show(facts);
    } catch (error) {
      byId("preview-structure").textContent = error.message;
    }
  }, 120);

  #write(facts) {
    const result = facts.results.find(({ model_state: state }) => state === "current") ?? facts.results[0] ?? { derived: {}, uncertainty: {} };
    const pairs = SHOWN.map((name) => {
      const value = result.derived[name] ?? result["trust"]?.[name];
      if (value === undefined || value === null) return null;
      const ends = result.uncertainty?.[name];
      return [element("dt", {}, nameNode(name)), element("dd", {}, `${number(value)} ${unitText(this.known.get(name)?.unit)}`, ends ? element("small", {}, interval(...ends)) : null)];
    });
    byId("preview-facts").replaceChildren(
      element("h2", {}, element("a", { href: `${ROOT}/crystals/${encodeURIComponent(facts.id)}` }, formulaNode(facts.formula))),
      element("p", { class: "note" }, spacegroupNode(result.spacegroup), `, point group ${result.point_group ?? "–"}, ${facts.n_atoms} atoms`),
      element("dl", {}, pairs), element("p", { class: "note" }, result.warnings?.[0] ?? ""));
  }
}

class Plot {
  #latest = new Latest(); #points = null; #window = null;

  constructor(state, known, showError) {
    this.state = state;
    this.known = known;
    this.showError = showError;
    this.canvas = byId("scatter");
    this.scatter = new Scatter(this.canvas);
    this.preview = new Preview(known);
    this.#connect();
  }

  #connect() {
    const numbers = [...this.known.values()].filter(({ kind, name }) => (kind === "number" || kind === "integer") && !/_(lo|hi)$/.test(name));
    const options = () => groupedOptions(numbers);
    for (const name of ["x", "y", "color"]) {
      const select = byId(name);
      if (name === "color") select.append(element("option", { value: "none" }, "none"));
      select.append(...options());
      select.addEventListener("change", () => this.state.set({ [name]: select.value }));
    }
    for (const [id, name] of [["log-x", "logx"], ["log-y", "logy"]]) {
      byId(id).addEventListener("change", (event) => this.state.set({ [name]: event.target.checked ? "1" : "0" }));
    }
    byId("pareto").addEventListener("change", (event) => this.state.set({ pareto: event.target.value || "none" }));
    byId("zoom-reset").addEventListener("click", () => this.scatter.zoom(null));
    byId("zoom-filter").addEventListener("click", () => this.#filterToWindow());
    this.canvas.addEventListener("zoomed", ({ detail }) => {
      this.#window = detail;
      byId("zoom-filter").hidden = byId("zoom-reset").hidden = !detail;
    });
    this.canvas.addEventListener("look", ({ detail }) => this.#look(detail));
    this.canvas.addEventListener("choose", ({ detail }) => { location.href = `${ROOT}/crystals/${encodeURIComponent(this.#points.id[detail])}`; });
  }

  #look(index) {
    if (index === null) return;
    const { id, formula, x, y } = this.#points;
    this.preview.show(id[index]);
    if (document.activeElement === this.canvas) announce(`${formula[index]}: ${number(x[index])}, ${number(y[index])}`);
  }

  #filterToWindow() {
    const figure = (value) => Number(value.toPrecision(3));
    const { x, y } = this.#window;
    let filter = withRange(this.state.get("filter"), this.state.get("x"), figure(x[0]), figure(x[1]));
    filter = withRange(filter, this.state.get("y"), figure(y[0]), figure(y[1]));
    this.state.set({ filter });
  }

  async refresh(changed) {
    for (const name of ["x", "y", "color"]) byId(name).value = this.state.get(name);
    byId("pareto").value = this.state.get("pareto") === "none" ? "" : this.state.get("pareto");
    byId("log-x").checked = this.state.get("logx") === "1";
    byId("log-y").checked = this.state.get("logy") === "1";
    if (["filter", "x", "y", "color", "pareto"].some((name) => changed.has(name))) await this.#load();
    else if (changed.has("logx") || changed.has("logy")) this.#draw();
  }

  async #load() {
    const [x, y, color, pareto] = ["x", "y", "color", "pareto"].map((name) => this.state.get(name));
    try {
      this.#points = await ask("points", {
        filter: this.state.get("filter"), x, y, color: color === "none" ? "" : color, limit: MAX_POINTS, pareto: pareto === "none" ? "" : pareto,
      }, this.#latest.next());
      this.#window = null;
      byId("zoom-filter").hidden = byId("zoom-reset").hidden = true;
      this.#draw();
    } catch (error) {
      if (error.name !== "AbortError") this.showError(error);
    }
  }

  #draw() {
    if (!this.#points) return;
    const [x, y, color] = ["x", "y", "color"].map((name) => this.known.get(this.state.get(name)));
    const points = this.#points;
    this.scatter.show({ ...points, color: color ? points.color : null }, {
      logX: this.state.get("logx") === "1", logY: this.state.get("logy") === "1",
      xLabel: x ? axisText(x) : "", yLabel: y ? axisText(y) : "", senses: this.state.get("pareto").split(","),
    });
    this.#legend(color);
    const n = points.id.length;
    this.#showFirst();
    const front = points.pareto?.length ? ` ${points.pareto.length} of them on the Pareto front.` : "";
    byId("plot-note").textContent = `${n.toLocaleString("en")} ${points.limited ? "of the crystals with both numbers, an even sample; the front is that of the points shown" : "crystals with both numbers"}.${this.#outside()}${front}`;
    this.canvas.setAttribute("aria-label",
      `Scatter plot of ${y?.description} against ${x?.description}, ${n} crystals. Arrow keys walk through ${points.pareto?.length ? "the Pareto front" : "the crystals"}, Enter opens one.`);
  }

  /** How many points a logarithmic axis has no place for. */
  #outside() {
    const { x, y } = this.#points;
    const [logX, logY] = [this.state.get("logx") === "1", this.state.get("logy") === "1"];
    const n = x.filter((value, index) => (logX && value <= 0) || (logY && y[index] <= 0)).length;
    return n ? ` ${n.toLocaleString("en")} that are zero have no place on a logarithmic axis.` : "";
  }

  /** Until somebody points at a crystal, one of the front (or the first) stands in the preview. */
  #showFirst() {
    const { id, pareto } = this.#points;
    const first = pareto?.length ? pareto[Math.floor(pareto.length / 2)] : 0;
    if (id.length) setTimeout(() => this.preview.show(id[first]), 300);
  }

  #legend(color) {
    const legend = byId("color-legend");
    const scale = color ? this.scatter.colorScale() : null;
    legend.hidden = !scale;
    if (!scale) return;
    const bar = element("canvas");
    drawColorBar(bar, scale);
    legend.replaceChildren(element("div", {}, axisText(color)), bar, element("div", {}, element("span", {}, number(scale.low, 3)), element("span", {}, number(scale.high, 3))));
  }
}

function groupedOptions(numbers) {
  const groups = Map.groupBy ? Map.groupBy(numbers, ({ group }) => group) : numbers.reduce((map, each) => map.set(each.group, [...(map.get(each.group) ?? []), each]), new Map());
  return [...groups].map(([group, rows]) => element("optgroup", { label: group }, rows.map((row) => element("option", { value: row.name, title: row.description }, axisText(row)))));
}

/** The plot of the page. */
export function setUpPlot(state, known, showError) {
  return new Plot(state, known, showError);
}
