// The filter as text: completion of properties, operators and values, presets, its terms as chips, errors in place.

import { ask } from "../core/api.js";
import { byId, debounce, element } from "../core/dom.js";
import { unitText } from "../core/format.js";
import { joinTerms, splitTerms } from "../core/terms.js";
import { filterOf } from "./shorthand.js";

const COMPARISONS = { number: [">=", "<=", ">", "<", "="], integer: ["=", ">=", "<=", "!="], flag: ["= TRUE", "= FALSE"] };
const WORD = /(?:preset:)?[\w:]*$/;

/** What may follow the text before the caret: [{text, insert, why}]. */
export function completionsAt(before, known, presets) {
  const inText = (before.match(/"/g) ?? []).length % 2 === 1;
  const value = /(\w+)\s*(?:=|!=|HAS(?:\s+(?:ALL|ANY|ONLY))?)\s*(?:"[^"]*"\s*,\s*)*"?([^"]*)$/i.exec(before);
  if (value && known.has(value[1]) && (inText || /[=S]\s*$/i.test(before))) return { ask: value[1], typed: value[2], inText };
  if (inText) return { rows: [] };
  const word = WORD.exec(before)[0];
  const previous = /(\w+)\s+$/.exec(before)?.[1];
  if (!word && previous && known.has(previous)) return { rows: operatorsOf(known.get(previous)) };
  if (!word && /[\d"]\s+$|(?:TRUE|FALSE)\s+$/.test(before)) {
    return { rows: ["AND", "OR", "AND NOT"].map((text) => ({ text, insert: `${text} `, why: "" })) };
  }
  return { rows: namesLike(word.toLowerCase(), known, presets), replace: word.length };
}

function operatorsOf(property) {
  if (property.kind.startsWith("list")) {
    return ["HAS ALL", "HAS ANY", "HAS ONLY", "HAS", "LENGTH"].map((text) => ({ text, insert: `${text} `, why: "" }));
  }
  const operators = COMPARISONS[property.kind] ?? ["=", "!=", "CONTAINS", "STARTS WITH"];
  return [...operators, "IS KNOWN", "IS UNKNOWN"].map((text) => ({ text, insert: `${text} `, why: unitText(property.unit) }));
}

/** Names that start with, then that contain, then whose description contains what was typed. */
function namesLike(word, known, presets) {
  const rows = presets.map((preset) => ({ text: `preset:${preset.name}`, insert: `preset:${preset.name} `, why: preset.title }));
  for (const { name, description, unit } of known.values()) {
    rows.push({ text: name, insert: `${name} `, why: `${description}${unitText(unit) ? ` (${unitText(unit)})` : ""}` });
  }
  const begins = (text) => text.split(/[_\W]+/).some((part) => part.startsWith(word));
  const rank = ({ text, why }) => (text.startsWith(word) ? 0 : begins(text) ? 1 : begins(why.toLowerCase()) ? 2 : text.includes(word) ? 3 : 4);
  const asked = (row) => row.rank < 4 && (row.rank === 0 || !/_(lo|hi)$/.test(row.text)); // ends of intervals crowd the list
  return rows.map((row) => ({ ...row, rank: rank(row) })).filter(asked).sort((a, b) => a.rank - b.rank).slice(0, 40);
}

class Completion {
  #input; #list; #known; #presets; #rows = []; #active = -1; #replace = 0; #round = 0;

  constructor(input, list, known, presets) {
    this.#input = input;
    this.#list = list;
    this.#known = known;
    this.#presets = presets;
    input.addEventListener("input", debounce(() => this.open(), 60));
    input.addEventListener("keydown", (event) => this.#key(event));
    input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
  }

  async open() {
    if (document.activeElement !== this.#input) return;
    const round = (this.#round += 1);
    const before = this.#input.value.slice(0, this.#input.selectionStart);
    let { rows, replace = 0, ask: property, typed, inText } = completionsAt(before, this.#known, this.#presets);
    if (property) {
      rows = await this.#values(property, typed ?? "", inText).catch(() => []);
      replace = inText ? (typed ?? "").length + 1 : 0;
    }
    if (round !== this.#round) return; // something newer was typed meanwhile
    this.#rows = rows;
    this.#replace = replace;
    this.#active = -1;
    this.#draw();
  }

  /** Values that crystals have, the most frequent first. */
  async #values(property, typed, inText) {
    if (!["text", "formula"].includes(this.#known.get(property).kind) && !this.#known.get(property).kind.startsWith("list of el")) return [];
    const { values } = await ask("facets", { field: property });
    return values
      .filter(({ value }) => value !== null && String(value).toLowerCase().startsWith(typed.toLowerCase()))
      .slice(0, 30)
      .map(({ value, n }) => ({ text: `"${value}"`, insert: `"${value}"${inText ? "" : " "}`, why: n ? n.toLocaleString("en") : "" }));
  }

  #draw() {
    const open = this.#rows.length > 0;
    this.#list.hidden = !open;
    this.#input.setAttribute("aria-expanded", String(open));
    this.#list.replaceChildren(...this.#rows.map((row, index) => element("li", {
      id: `completion-${index}`, role: "option", "aria-selected": "false",
      onpointerdown: (event) => { event.preventDefault(); this.#take(index); },
    }, element("span", { class: "mono" }, row.text), element("small", {}, row.why))));
    this.#input.removeAttribute("aria-activedescendant");
  }

  close() {
    this.#rows = [];
    this.#round += 1;
    this.#draw();
  }

  #move(step) {
    const n = this.#rows.length;
    this.#active = (this.#active + step + n) % n;
    [...this.#list.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === this.#active)));
    this.#list.children[this.#active].scrollIntoView({ block: "nearest" });
    this.#input.setAttribute("aria-activedescendant", `completion-${this.#active}`);
  }

  #take(index) {
    const at = this.#input.selectionStart;
    const text = this.#rows[index].insert;
    this.#input.setRangeText(text, at - this.#replace, at, "end");
    this.#input.focus();
    this.open();
  }

  #key(event) {
    if (event.key === "Escape" && this.#rows.length) this.close();
    else if (event.key === "ArrowDown" && !this.#rows.length) this.open();
    else if (!this.#rows.length) return;
    else if (event.key === "ArrowDown") this.#move(1);
    else if (event.key === "ArrowUp") this.#move(-1);
    else if ((event.key === "Enter" || event.key === "Tab") && this.#active >= 0) this.#take(this.#active);
    else return;
    event.preventDefault();
  }
}

/** Connects the box; returns the function that shows an error of the filter (null clears it). */
export function setUpFilterBox(state, known, presets) {
  const input = byId("filter");
  const completion = new Completion(input, byId("completions"), known, presets);
  byId("filter-form").addEventListener("submit", (event) => {
    event.preventDefault();
    completion.close();
    state.set({ filter: filterOf(input.value) });
  });
  const show = () => {
    if (input.value.trim() !== state.get("filter")) input.value = state.get("filter");
    drawPresets(state, presets);
    drawTerms(state, presets);
  };
  state.addEventListener("change", show);
  show();
  return (error) => showError(error, input);
}

function showError(error, input) {
  const line = byId("filter-error");
  input.setAttribute("aria-invalid", String(Boolean(error)));
  line.textContent = error?.message ?? "";
  if (!error || error.position === null || error.position === undefined) return;
  const text = input.value;
  const word = /^\S+/.exec(text.slice(error.position))?.[0] ?? "";
  line.append(element("br"), element("code", {}, text.slice(Math.max(0, error.position - 30), error.position), element("mark", {}, word || " "),
    text.slice(error.position + word.length, error.position + word.length + 30)));
}

function drawPresets(state, presets) {
  const chosen = splitTerms(state.get("filter"));
  byId("presets").replaceChildren(...presets.map((preset) => {
    const term = `preset:${preset.name}`;
    const pressed = chosen.includes(term);
    const choose = () => {
      const kept = chosen.filter((each) => !each.startsWith("preset:"));
      if (pressed) return state.set({ filter: joinTerms(kept), sort: "" });
      const columns = preset.fields?.length ? { fields: [...new Set(["formula", ...preset.fields.filter((name) => name !== "id")])].join(",") } : {};
      return state.set({ filter: joinTerms([term, ...kept]), sort: preset.sort ?? "", ...columns });
    };
    return element("button", { type: "button", "aria-pressed": String(pressed), title: `${preset.why ?? ""}\n${preset.filter}`, onclick: choose }, preset.title);
  }));
}

function drawTerms(state, presets) {
  const terms = splitTerms(state.get("filter"));
  byId("terms").replaceChildren(...(terms.length < 2 && !terms[0]?.startsWith("preset:") ? [] : terms).map((term, index) => {
    const preset = presets.find(({ name }) => term === `preset:${name}`);
    const without = () => state.set({ filter: joinTerms(terms.filter((_, other) => other !== index)) });
    const write = () => state.set({ filter: joinTerms(terms.map((each, other) => (other === index ? preset.filter : each))) });
    return element("li", {}, element("span", { title: term }, term),
      preset ? element("button", { type: "button", title: "Write its terms out, to edit them", onclick: write }, "edit") : null,
      element("button", { type: "button", "aria-label": `Remove ${term}`, onclick: without }, "×"));
  }));
}
