// The table of hits: sorted by the server, more rows on demand, 90 % intervals drawn under the numbers.

import { Latest, ROOT, ask } from "../core/api.js";
import { byId, element } from "../core/dom.js";
import { formulaNode, interval, nameNode, number, unitText, valueText } from "../core/format.js";
import { spacegroupNode } from "../core/spacegroups.js";
import { columnScale, intervalBar } from "../drawing/interval.js";

const PAGE = 50;
const MAX_COMPARED = 6;
// What makes a row's numbers doubtful, said beside its formula.
const MARKS = { metal: "metal", ood: "far", low_dimensional: "slab", open_framework: "pores", defect_supercell: "defect", off_equilibrium: "unrelaxed" };

class Table {
  #state; #known; #showError; #latest = new Latest(); #rows = []; #next = null; #chosen = new Set();

  constructor(state, known, showError) {
    this.#state = state;
    this.#known = known;
    this.#showError = showError;
    this.head = byId("table").tHead;
    this.body = byId("table").tBodies[0];
    this.button = byId("more");
    this.button.addEventListener("click", () => this.#more());
  }

  /** Properties in the table, those that exist. */
  #fields() {
    return this.#state.list("fields").filter((name) => this.#known.has(name));
  }

  #question(after = null) {
    const wanted = new Set(["id", "formula", "spacegroup", ...Object.keys(MARKS)]);
    for (const name of this.#fields()) {
      wanted.add(name);
      for (const end of this.#known.get(name).interval ?? []) wanted.add(end);
    }
    return { filter: this.#state.get("filter"), sort: this.#state.get("sort"), fields: [...wanted].join(","), limit: PAGE, after };
  }

  async refresh(changed) {
    if (!["filter", "sort", "fields"].some((name) => changed.has(name))) return;
    this.#drawHead();
    byId("table").setAttribute("aria-busy", "true");
    try {
      const { rows, next } = await ask("crystals", this.#question(), this.#latest.next());
      this.#rows = rows;
      this.#next = next;
      this.#drawBody();
    } catch (error) {
      if (error.name !== "AbortError") this.#showError(error);
    }
  }

  async #more() {
    this.button.disabled = true;
    try {
      const { rows, next } = await ask("crystals", this.#question(this.#next), this.#latest.next());
      const first = this.#rows.length;
      this.#rows.push(...rows);
      this.#next = next;
      this.#drawBody();
      this.body.rows[first]?.querySelector("a")?.focus();
    } catch (error) {
      if (error.name !== "AbortError") this.#showError(error);
    }
    this.button.disabled = false;
  }

  #drawHead() {
    const sort = this.#state.get("sort");
    const [name, descending] = [sort.replace(/^-/, ""), sort.startsWith("-")];
    const cells = this.#fields().map((field) => {
      const property = this.#known.get(field);
      const order = field === name ? (descending ? "descending" : "ascending") : "none";
      const numeric = property.kind === "number" || (property.kind === "integer" && field !== "spacegroup");
      const next = order === "none" ? (numeric ? `-${field}` : field) : order === (numeric ? "descending" : "ascending") ? (numeric ? field : `-${field}`) : "";
      const sortable = !property.kind.startsWith("list");
      const label = element("span", {}, nameNode(field));
      return element("th", { scope: "col", "aria-sort": order, class: numeric ? "number" : "", title: `${property.description} (${field})` },
        sortable ? element("button", { type: "button", onclick: () => this.#state.set({ sort: next }) }, label, element("small", {}, unitText(property.unit) || " "))
          : label);
    });
    this.head.replaceChildren(element("tr", {}, element("th", { scope: "col" }, element("span", { class: "visually-hidden" }, "compare")), cells));
    const property = this.#known.get(name);
    byId("sort-note").textContent = property ? `Sorted by ${property.description.split(" (")[0]}, ${descending ? "highest" : "lowest"} first. Bars are 90 % intervals.` : "Click a heading to sort. Bars are 90 % intervals.";
  }

  #drawBody() {
    byId("table").setAttribute("aria-busy", "false");
    const fields = this.#fields();
    const scales = new Map(fields.map((field) => {
      const [low, high] = this.#known.get(field).interval ?? [];
      return [field, low ? columnScale(this.#rows.flatMap((row) => [row[field], row[low], row[high]])) : null];
    }));
    this.body.replaceChildren(...this.#rows.map((row) => this.#row(row, fields, scales)));
    if (!this.#rows.length) this.body.append(element("tr", {}, element("td", { colSpan: fields.length + 1, class: "note" }, "No crystals.")));
    this.button.hidden = !this.#next;
  }

  #row(row, fields, scales) {
    const box = element("input", { type: "checkbox", "aria-label": `Compare ${row.formula}`, checked: this.#chosen.has(row.id), onchange: () => this.#choose(row.id, box) });
    return element("tr", {}, element("td", {}, box), fields.map((field) => this.#cell(row, field, scales.get(field))));
  }

  #cell(row, field, scale) {
    const property = this.#known.get(field);
    const value = row[field];
    if (field === "formula" || field === "id") {
      const link = element("a", { href: `${ROOT}/crystals/${encodeURIComponent(row.id)}` }, field === "id" ? value : formulaNode(value));
      const marks = Object.keys(MARKS).filter((name) => row[name] === true);
      return element("td", { class: "formula-cell" }, link, marks.map((name) => element("span", { class: "badge warn", title: this.#known.get(name).description }, MARKS[name])));
    }
    if (field === "spacegroup") return element("td", {}, spacegroupNode(value));
    const numeric = property.kind === "number" || property.kind === "integer";
    const [low, high] = (property.interval ?? []).map((end) => row[end]);
    const known = scale && value !== null && low !== null && low !== undefined;
    return element("td", { class: numeric ? "number" : "", title: known ? `90 %: ${interval(low, high)} ${unitText(property.unit)}` : null },
      property.kind === "number" ? number(value) : valueText(value, property.kind), known ? intervalBar(value, low, high, scale) : null);
  }

  #choose(id, box) {
    if (box.checked && this.#chosen.size >= MAX_COMPARED) box.checked = false;
    if (box.checked) this.#chosen.add(id);
    else this.#chosen.delete(id);
    const link = byId("compare-link");
    link.hidden = this.#chosen.size < 2;
    link.textContent = `Compare ${this.#chosen.size}`;
    link.href = `${ROOT}/compare?ids=${[...this.#chosen].map(encodeURIComponent).join(",")}`;
  }
}

/** The table of the page. */
export function setUpTable(state, known, showError) {
  return new Table(state, known, showError);
}
