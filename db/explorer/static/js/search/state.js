// What the page shows is what its address says: filter, order, columns, axes. Listeners learn what changed.

export const DEFAULT_FIELDS = [
  "formula", "spacegroup", "k_vrh_gpa", "g_vrh_gpa", "e_max_c_per_m2", "d_max_pc_per_n", "eps_total_mean", "band_gap_ev",
];

const DEFAULTS = {
  filter: "", sort: "-d_max_pc_per_n", fields: DEFAULT_FIELDS.join(","), x: "k_vrh_gpa", y: "d_max_pc_per_n", color: "eps_total_mean",
  pareto: "max,max", logx: "", logy: "1", ranges: "k_vrh_gpa,d_max_pc_per_n,eps_total_mean",
};

/** The state of the page, kept in its address. */
export class PageState extends EventTarget {
  #values;

  constructor() {
    super();
    this.#values = this.#read();
    this.#remember();
    addEventListener("popstate", () => this.#replace(this.#read()));
  }

  #read() {
    const query = new URLSearchParams(location.search);
    return Object.fromEntries(Object.entries(DEFAULTS).map(([name, value]) => [name, query.get(name) ?? value]));
  }

  #replace(values) {
    const changed = Object.keys(DEFAULTS).filter((name) => values[name] !== this.#values[name]);
    this.#values = values;
    this.#remember();
    if (changed.length) this.dispatchEvent(new CustomEvent("change", { detail: new Set(changed) }));
  }

  /** Keeps the address for the way back from a crystal; forgotten with the tab. */
  #remember() {
    sessionStorage.setItem("gmtscreen-search", location.href);
  }

  get(name) {
    return this.#values[name];
  }

  /** The names of a list of properties. */
  list(name) {
    return this.#values[name].split(",").filter(Boolean);
  }

  /** Changes some values; the address follows, and going back in the browser undoes it. */
  set(values) {
    const next = { ...this.#values, ...values };
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(next)) if (value !== DEFAULTS[name]) query.set(name, value);
    const address = query.size ? `?${query}` : location.pathname;
    if (JSON.stringify(next) !== JSON.stringify(this.#values)) history.pushState(null, "", address);
    this.#replace(next);
  }
}
