// Ranges of numbers: a histogram of the crystals that the rest of the filter leaves, with two sliders and two fields.

import { Latest, ask } from "../core/api.js";
import { byId, debounce, element } from "../core/dom.js";
import { axisText, nameNode, number, unitText } from "../core/format.js";
import { rangeOf, withRange } from "../core/terms.js";
import { histogramNode } from "../drawing/histogram.js";
import { TwoThumbs } from "./slider.js";

const BINS = 40;
const WIDE = /gpa|pc_per_n|c_per_m2|eps_|anisotropy|pugh|thermal|hardness|debye|sound/; // spans decades: logarithmic bins

/** Three figures that still include the value. */
function rounded(value, down) {
  if (!value) return 0;
  const step = 10 ** (Math.floor(Math.log10(Math.abs(value))) - 2);
  const whole = down ? Math.floor(value / step + 1e-9) : Math.ceil(value / step - 1e-9);
  return Number((whole * step).toPrecision(4));
}

class Range {
  #state; #property; #latest = new Latest(); #histogram = null; #drawn = "";

  constructor(state, property, remove) {
    this.#state = state;
    this.#property = property;
    const label = axisText(property);
    // Keys come fast: the answer is asked for once they pause.
    this.slider = new TwoThumbs(label, BINS, { onmove: () => this.#preview(), onchoose: debounce(() => this.#fromSlider(), 250) });
    const field = (end) => element("input", {
      type: "number", step: "any", placeholder: end, "aria-label": `${label}, ${end}`,
      onchange: debounce(() => this.#fromFields(), 10),
    });
    this.fields = [field("lowest"), field("highest")];
    this.chart = element("div");
    this.note = element("p", { class: "note" });
    this.node = element("div", { class: "range", role: "group", "aria-label": label },
      element("header", {}, element("span", { title: property.description }, nameNode(property.name), " ", element("span", { class: "unit" }, unitText(property.unit))),
        element("button", { type: "button", "aria-label": `Remove the range of ${label}`, onclick: remove }, "×")),
      this.chart, this.slider.node,
      element("div", { class: "bounds" }, this.fields[0], "to", this.fields[1]), this.note);
  }

  async refresh() {
    const filter = this.#state.get("filter");
    const { low, high } = rangeOf(filter, this.#property.name);
    this.fields[0].value = low ?? "";
    this.fields[1].value = high ?? "";
    // Its own bounds do not count: the bars outside of them show what they leave out.
    const rest = withRange(filter, this.#property.name, null, null);
    try {
      if (this.#drawn !== rest || !this.#histogram) {
        const scale = WIDE.test(this.#property.name) ? "log" : "linear";
        this.#histogram = await ask("histogram", { filter: rest, field: this.#property.name, bins: BINS, scale }, this.#latest.next());
        this.#drawn = rest;
      }
      this.#draw({ low, high });
    } catch (error) {
      if (error.name === "AbortError") return;
      // The line below the filter says what is wrong with it, once is enough.
      if (error.position === null) this.note.textContent = error.message;
    }
  }

  #draw(range) {
    const { edges, counts, n_unknown: unknown, exact } = this.#histogram;
    if (!counts?.length || !counts.some(Boolean)) {
      this.chart.replaceChildren();
      this.note.textContent = "no values";
      this.slider.node.hidden = true;
      return;
    }
    this.chart.replaceChildren(histogramNode(this.#histogram, range));
    this.slider.node.hidden = false;
    const last = edges.length - 1;
    const placeOf = (value, otherwise) => {
      if (value === null) return otherwise;
      const at = edges.findIndex((edge) => edge >= value);
      return at < 0 ? last : at;
    };
    const low = Math.min(placeOf(range.low, 0), last - 1);
    this.slider.set(low, Math.max(placeOf(range.high, last), low + 1), last, (place) => number(edges[place], 3));
    const ends = `${number(edges[0], 3)} to ${number(edges[last], 3)}`;
    this.note.textContent = `${ends}${unknown ? `; ${unknown.toLocaleString("en")} ${WIDE.test(this.#property.name) ? "zero or unknown" : "unknown"}` : ""}${exact === false ? "; estimated from a sample" : ""}`;
  }

  #chosen() {
    const { edges } = this.#histogram;
    const { places } = this.slider;
    return {
      low: places[0] === 0 ? null : rounded(edges[places[0]], true),
      high: places[1] === edges.length - 1 ? null : rounded(edges[places[1]], false),
    };
  }

  #preview() {
    if (!this.#histogram) return;
    const { low, high } = this.#chosen();
    this.fields[0].value = low ?? "";
    this.fields[1].value = high ?? "";
    this.chart.replaceChildren(histogramNode(this.#histogram, { low, high }));
  }

  #fromSlider() {
    if (!this.#histogram) return;
    const { low, high } = this.#chosen();
    this.#state.set({ filter: withRange(this.#state.get("filter"), this.#property.name, low, high) });
  }

  #fromFields() {
    const [low, high] = this.fields.map((field) => (field.value === "" ? null : Number(field.value)));
    this.#state.set({ filter: withRange(this.#state.get("filter"), this.#property.name, low, high) });
  }
}

/** The list of ranges, with the control that adds one. */
export function setUpRanges(state, known) {
  const box = byId("ranges");
  const add = byId("add-range");
  const shown = new Map();
  const numbers = [...known.values()].filter(({ kind, name }) => (kind === "number" || kind === "integer") && !/_(lo|hi)$/.test(name));

  const arrange = () => {
    // A bound that the filter sets has its slider, asked for or not.
    const bounded = numbers.filter(({ name }) => { const { low, high } = rangeOf(state.get("filter"), name); return low !== null || high !== null; });
    const names = [...new Set([...state.list("ranges"), ...bounded.map(({ name }) => name)])].filter((name) => known.has(name));
    for (const name of [...shown.keys()]) if (!names.includes(name)) shown.delete(name);
    for (const name of names) {
      if (shown.has(name)) continue;
      const remove = () => state.set({ ranges: state.list("ranges").filter((each) => each !== name).join(","), filter: withRange(state.get("filter"), name, null, null) });
      shown.set(name, new Range(state, known.get(name), remove));
    }
    const nodes = names.map((name) => shown.get(name).node);
    if (nodes.some((node, index) => box.children[index] !== node) || box.children.length !== nodes.length) box.replaceChildren(...nodes);
    add.replaceChildren(element("option", { value: "" }, "choose …"), ...numbers.filter(({ name }) => !names.includes(name))
      .map((property) => element("option", { value: property.name }, `${axisText(property)}: ${property.description}`)));
  };
  add.addEventListener("change", () => {
    if (add.value) state.set({ ranges: [...state.list("ranges"), add.value].join(",") });
  });
  return {
    refresh: (changed) => {
      if (!changed.has("filter") && !changed.has("ranges")) return;
      arrange();
      for (const range of shown.values()) range.refresh();
    },
  };
}
