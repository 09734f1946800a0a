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
    if (error.name === "AbortError") return;
    line.replaceChildren("The filter cannot be read.");
    byId("explanation").hidden = true;
    onError(error);
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

/**
 * Runs the stages one after the other; a newer change, or a question that cannot be read, ends them, and what a stage
 * then had not seen is kept for it.
 */
function inStages(stages, begin, isUnreadable) {
  const unseen = stages.map(() => new Set());
  let round = 0;
  return async (changed) => {
    const mine = (round += 1);
    begin();
    for (const names of unseen) for (const name of changed) names.add(name);
    for (const [index, stage] of stages.entries()) {
      const names = unseen[index];
      unseen[index] = new Set();
      await Promise.allSettled(stage(names));
      if (mine !== round || isUnreadable()) return;
    }
  };
}

async function start() {
  const [known, presets] = await Promise.all([properties(), ask("presets")]);
  const state = new PageState();
  // On a small screen the results come first; the controls open on demand.
  if (matchMedia("(max-width: 1180px)").matches) for (const panel of document.querySelectorAll(".controls details")) panel.open = false;
  const showError = setUpFilterBox(state, known, presets);
  const table = setUpTable(state, known, showError);
  const plot = setUpPlot(state, known, showError);
  const controls = [setUpRanges(state, known), setUpFacets(state), new Elements(byId("elements"), state)];
  // In a large database every question costs the server time: what is looked at first is asked first.
  const stages = [
    (changed) => [table.refresh(changed), changed.has("filter") ? showCount(state, showError) : null],
    (changed) => [plot.refresh(changed)],
    (changed) => controls.map((control) => control.refresh(changed)),
  ];
  setUpDialogs(state, known, address);
  const isUnreadable = () => byId("filter").getAttribute("aria-invalid") === "true";
  const refresh = inStages(stages, () => showError(null), isUnreadable);
  state.addEventListener("change", (event) => refresh(event.detail));
  refresh(new Set(["filter", "sort", "fields", "x", "y", "color", "pareto", "logx", "logy", "ranges"]));
}

start().catch((error) => {
  byId("filter-error").textContent = error.message;
});
