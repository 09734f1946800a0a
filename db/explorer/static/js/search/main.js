// The first page: every control writes the state, every view reads it.

import { Latest, address, ask, properties } from "../core/api.js";
import { announce, byId, element } from "../core/dom.js";
import { count } from "../core/format.js";
import { setUpDialogs } from "./dialogs.js";
import { Elements } from "./elements.js";
import { setUpFacets } from "./facets.js";
import { setUpFilterBox } from "./filter_box.js";
import { setUpPlot } from "./plot.js";
import { setUpRanges } from "./ranges.js";
import { PageState } from "./state.js";
import { setUpTable } from "./table.js";

const counting = new Latest();

/** The line above the results, and, where nothing is left, which terms left nothing. */
async function showCount(state, onError) {
  const signal = counting.next();
  const filter = state.get("filter");
  const line = byId("count");
  try {
    const answer = await ask("count", { filter }, signal);
    const about = answer.exact ? "" : "about ";
    const total = answer.total === undefined || answer.total === null ? "" : ` of ${count(answer.total)}`;
    line.replaceChildren(about, element("strong", {}, count(answer.n)), `${total} crystals`);
    announce(`${about}${count(answer.n)} crystals`);
    await showExplanation(filter, answer.n, signal);
  } catch (error) {
    if (error.name !== "AbortError") onError(error);
  }
}

async function showExplanation(filter, n, signal) {
  const box = byId("explanation");
  box.hidden = n > 0 || !filter;
  if (box.hidden) return;
  box.replaceChildren("No crystal fits. Looking for the term that leaves none …");
  const { terms, sentences } = await ask("explain", { filter }, signal);
  const lines = terms.map(({ text, n: alone, without }) => element("li", {},
    element("code", {}, text), `: ${count(alone)} crystals by itself`,
    without === null || without === undefined ? "" : `; without it the others leave ${count(without)}`));
  box.replaceChildren(sentences?.join(" ") || "No crystal fits the whole filter.", lines.length > 1 ? element("ul", {}, lines) : "");
}

async function start() {
  const [known, presets] = await Promise.all([properties(), ask("presets")]);
  const state = new PageState();
  // On a small screen the results come first; the controls open on demand.
  if (matchMedia("(max-width: 1180px)").matches) for (const panel of document.querySelectorAll(".controls details")) panel.open = false;
  const showError = setUpFilterBox(state, known, presets);
  const views = [
    setUpTable(state, known, showError),
    setUpPlot(state, known, showError),
    setUpRanges(state, known),
    setUpFacets(state),
    new Elements(byId("elements"), state),
  ];
  setUpDialogs(state, known, address);
  const refresh = (changed) => {
    showError(null);
    if (changed.has("filter")) showCount(state, showError);
    for (const view of views) view.refresh(changed);
  };
  state.addEventListener("change", (event) => refresh(event.detail));
  refresh(new Set(["filter", "sort", "fields", "x", "y", "color", "pareto", "logx", "logy", "ranges"]));
}

start().catch((error) => {
  byId("filter-error").textContent = error.message;
});
