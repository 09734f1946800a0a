// What is chosen from few values: crystal system, point group, optical class, and the flags of reliability.

import { Latest, ask } from "../core/api.js";
import { byId, element } from "../core/dom.js";
import { SYSTEMS, numbersOf } from "../core/spacegroups.js";
import { rangeOf, valueOf, withRange, withValue } from "../core/terms.js";

const TEXTS = [["point_group", "Point group"], ["optical_class", "Optical class"]];
const FLAGS = [
  ["piezo_allowed", "Piezoelectricity allowed"], ["metal", "Metal"],
  ["ood", "Far from the training data"], ["layered", "Layered"], ["open_framework", "Open framework"], ["defect_supercell", "Defect supercell"], ["molecular", "Molecular crystal"], ["low_dimensional", "Slab or molecule"], ["off_equilibrium", "Off equilibrium"], ["doubtful", "Doubtful input"],
  ["refined", "Second opinion"], ["gamma_stable", "Stable at the zone centre"], ["polar_instability", "Polar instability"], ["second_opinion_disagrees", "Potential disagrees"],
];

class TextFacet {
  #latest = new Latest();

  constructor(state, name, label) {
    this.state = state;
    this.name = name;
    this.select = element("select", { onchange: () => state.set({ filter: withValue(state.get("filter"), name, this.select.value || null) }) });
    this.node = element("label", { class: "facet" }, element("span", {}, label), this.select);
  }

  async refresh() {
    const filter = this.state.get("filter");
    const chosen = valueOf(filter, this.name);
    try {
      const { values } = await ask("facets", { filter: withValue(filter, this.name, null), field: this.name, limit: 40 }, this.#latest.next());
      const options = values.filter(({ value }) => value !== null).map(({ value, n }) => element("option", { value: `"${value}"` }, `${value} (${n.toLocaleString("en")})`));
      this.select.replaceChildren(element("option", { value: "" }, "any"), ...options);
      if (chosen && ![...this.select.options].some((option) => option.value === chosen)) this.select.append(element("option", { value: chosen }, chosen));
    } catch {
      if (!this.select.options.length) this.select.append(element("option", { value: "" }, "any"));
    }
    this.select.value = chosen ?? "";
  }
}

/** Crystal systems are ranges of space groups; any other range of theirs is none of them. */
class SystemFacet {
  constructor(state) {
    this.state = state;
    this.select = element("select", { onchange: () => this.#choose() }, element("option", { value: "" }, "any"), SYSTEMS.map(([name]) => element("option", { value: name }, name)));
    this.node = element("label", { class: "facet" }, element("span", {}, "Crystal system"), this.select);
  }

  #choose() {
    const [low, high] = this.select.value ? numbersOf(this.select.value) : [null, null];
    this.state.set({ filter: withRange(this.state.get("filter"), "spacegroup", low, high) });
  }

  refresh() {
    const { low, high } = rangeOf(this.state.get("filter"), "spacegroup");
    this.select.value = SYSTEMS.map(([name]) => name).find((name) => { const [first, last] = numbersOf(name); return first === low && last === high; }) ?? "";
  }
}

class FlagFacet {
  constructor(state, name, label) {
    this.state = state;
    this.name = name;
    this.select = element("select", { onchange: () => state.set({ filter: withValue(state.get("filter"), name, this.select.value || null) }) },
      element("option", { value: "" }, "any"), element("option", { value: "TRUE" }, "yes"), element("option", { value: "FALSE" }, "no"));
    this.node = element("label", { class: "facet" }, element("span", {}, label), this.select);
  }

  refresh() {
    this.select.value = valueOf(this.state.get("filter"), this.name)?.toUpperCase() ?? "";
  }
}

/** Puts the controls into their box. */
export function setUpFacets(state) {
  const facets = [
    new SystemFacet(state),
    ...TEXTS.map(([name, label]) => new TextFacet(state, name, label)),
    ...FLAGS.map(([name, label]) => new FlagFacet(state, name, label)),
  ];
  byId("facets").replaceChildren(...facets.map((facet) => facet.node));
  return {
    refresh: (changed) => {
      if (changed.has("filter")) for (const facet of facets) facet.refresh();
    },
  };
}
