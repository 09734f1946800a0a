// The periodic table: which elements crystals must contain or must not, shaded by how many of the crystals contain them.

import { Latest, ask } from "../core/api.js";
import { element } from "../core/dom.js";
import { elementsOf, withElements } from "../core/terms.js";

const ROWS = [
  "H . . . . . . . . . . . . . . . . He",
  "Li Be . . . . . . . . . . B C N O F Ne",
  "Na Mg . . . . . . . . . . Al Si P S Cl Ar",
  "K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr",
  "Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe",
  "Cs Ba . Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn",
  "Fr Ra . . . . . . . . . . . . . . . .",
  "",
  ". . . La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu",
  ". . . Ac Th Pa U Np Pu Am Cm . . . . . . .",
];
const MODES = [["ALL", "contain all"], ["ANY", "contain any"], ["ONLY", "only these"]];

/** The table in a box. Space and clicks go round: wanted, excluded, free; arrow keys move. */
export class Elements {
  #state; #buttons = new Map(); #modes = new Map(); #latest = new Latest();

  constructor(box, state) {
    this.#state = state;
    const modes = MODES.map(([mode, text]) => {
      const radio = element("input", { type: "radio", name: "element-mode", value: mode, onchange: () => this.#write({ mode }) });
      this.#modes.set(mode, radio);
      return element("label", { class: "field" }, radio, element("span", {}, text));
    });
    const grid = element("div", { class: "element-grid", role: "group", "aria-label": "Periodic table", onkeydown: (event) => this.#key(event) });
    ROWS.forEach((row, y) => {
      if (!row) grid.append(element("span", { class: "gap" }));
      (row ? row.split(" ") : []).forEach((symbol, x) => {
        if (symbol === ".") return grid.append(element("span"));
        const button = element("button", { type: "button", "data-place": `${x},${y}`, onclick: () => this.#press(symbol) }, symbol);
        button.tabIndex = this.#buttons.size ? -1 : 0;
        this.#buttons.set(symbol, button);
        return grid.append(button);
      });
    });
    box.append(element("div", { class: "element-modes", role: "radiogroup", "aria-label": "Crystals" }, modes), grid,
      element("p", { class: "note" }, "Once: must contain. Twice: must not. Shading: how many of these crystals contain it."));
  }

  refresh(changed) {
    if (!changed.has("filter")) return;
    const { mode, wanted, excluded } = elementsOf(this.#state.get("filter"));
    this.#modes.get(mode).checked = true;
    for (const [symbol, button] of this.#buttons) {
      const asked = wanted.includes(symbol) ? "wanted" : excluded.includes(symbol) ? "excluded" : "";
      button.dataset.state = asked;
      button.setAttribute("aria-pressed", String(asked === "wanted"));
      button.setAttribute("aria-label", `${symbol}${asked ? `, ${asked}` : ""}`);
    }
    this.#shade();
  }

  async #shade() {
    try {
      const filter = this.#state.get("filter");
      const { values } = await ask("facets", { filter, field: "elements", limit: 120 }, this.#latest.next());
      const numbers = new Map(values.map(({ value, n }) => [value, n]));
      const most = Math.max(1, ...numbers.values());
      for (const [symbol, button] of this.#buttons) {
        const n = numbers.get(symbol) ?? 0;
        button.style.setProperty("--share", String(n ? 0.12 + 0.88 * Math.sqrt(n / most) : 0));
        button.title = `${symbol}: ${n.toLocaleString("en")}`;
      }
    } catch {
      // The shading is an extra: the filter box says what is wrong with a filter.
    }
  }

  #press(symbol) {
    const { wanted, excluded } = elementsOf(this.#state.get("filter"));
    const without = (symbols) => symbols.filter((each) => each !== symbol);
    if (wanted.includes(symbol)) this.#write({ wanted: without(wanted), excluded: [...excluded, symbol] });
    else if (excluded.includes(symbol)) this.#write({ excluded: without(excluded) });
    else this.#write({ wanted: [...wanted, symbol] });
  }

  #write(changes) {
    const mode = [...this.#modes].find(([, radio]) => radio.checked)?.[0] ?? "ALL";
    const filter = withElements(this.#state.get("filter"), { ...elementsOf(this.#state.get("filter")), mode, ...changes });
    this.#state.set({ filter });
  }

  #key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const button = event.target.closest("button");
    if (!step || !button) return;
    event.preventDefault();
    let [x, y] = button.dataset.place.split(",").map(Number);
    for (let tries = 0; tries < 20; tries += 1) {
      [x, y] = [x + step[0], y + step[1]];
      const next = [...this.#buttons.values()].find((each) => each.dataset.place === `${x},${y}`);
      if (!next) continue;
      button.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      return;
    }
  }
}
