// Runs: where every input ended, how fast it went, and for those without a result why and what to do.

import { ROOT, ask } from "../core/api.js";
import { byId, element, svg } from "../core/dom.js";
import { count, durationText, number, timeText } from "../core/format.js";
import { sectionNode, sourceNode, tableNode, tilesNode } from "./tables.js";

const ENDS = ["done", "duplicate", "rejected", "quarantined", "pending"];
const MAX_REJECTS = 200;

function balanceNode(run) {
  const total = Math.max(1, ENDS.reduce((sum, end) => sum + (run[end] ?? 0), 0));
  let left = 0;
  const text = ENDS.map((end) => `${end} ${count(run[end] ?? 0)}`).join(", ");
  return svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", class: "balance", role: "img", "aria-label": text }, ENDS.map((end) => {
    const share = (100 * (run[end] ?? 0)) / total;
    left += share;
    return svg("rect", { x: left - share, y: 0, width: share, height: 10, class: end });
  }));
}

function stateBadge(state) {
  const kind = { finished: "good", running: "", failed: "bad", interrupted: "warn" }[state] ?? "";
  return element("span", { class: `badge ${kind}` }, state);
}

/** The design and the round that a run is, where it is one. */
function roundNode(round) {
  return round ? element("a", { href: `${ROOT}/designs/${round.design}` }, `round ${round.round} of design ${round.design}`) : null;
}

function fileName(source) {
  return String(source).split("/").pop() || String(source);
}

/** All runs, the newest first. */
async function showRuns(box) {
  const answer = await ask("runs");
  const runs = [...(answer.runs ?? answer)].sort((a, b) => b.run - a.run);
  if (!runs.length) {
    box.replaceChildren(element("p", {}, "No runs yet; start one: ", element("code", {}, "gmtscreen screen reference")));
    return;
  }
  const rows = runs.map((run) => [
    element("a", { href: `${ROOT}/runs/${run.run}` }, `run\u00a0${run.run}`), stateBadge(run.state), [run.sources?.map((source, index) => [index ? ", " : "", sourceNode(fileName(source))]) ?? "", run["round_of"] ? element("div", { class: "note" }, roundNode(run["round_of"])) : ""],
    element("a", { href: `${ROOT}/models/${encodeURIComponent(run.model)}` }, run.model), run.in, run.done, balanceNode(run),
    run.crystals_per_s ? `${number(run.crystals_per_s, 3)} /s` : "–", timeText(run.created), durationText(run.seconds),
  ]);
  box.replaceChildren(sectionNode("All runs", tableNode(["", "state", "sources", "model", "inputs", "results", "balance", "rate", "started", "time"], rows)));
}

/** One run: balance, settings, rejects by reason. */
async function showRun(box, number_) {
  const answer = await ask(`runs/${number_}`);
  const run = answer.run && typeof answer.run === "object" ? answer.run : answer.runs?.[0] ?? answer;
  const keys = element("ul", { class: "keys" }, ENDS.filter((end) => run[end]).map((end) => element("li", { class: end }, `${end} ${count(run[end])}`)));
  box.replaceChildren(
    sectionNode("Balance", tilesNode([
      ["state", run.state], ["inputs", count(run.in)], ["results", count(run.done)], ["rate", run.crystals_per_s ? `${number(run.crystals_per_s, 3)} /s` : "–"],
      ["time", durationText(run.seconds)], ["remaining", run.eta_s ? durationText(run.eta_s) : null],
    ]), element("p", {}), balanceNode(run), keys,
    element("p", { class: "note" }, "inputs = done + duplicate + rejected + quarantined, checked before a run counts as finished.")),
    sectionNode("What was asked", tableNode(["", ""], [
      ["sources", (run.sources ?? []).map((source, index) => [index ? ", " : "", sourceNode(source)])], ...(run["round_of"] ? [["part of", roundNode(run["round_of"])]] : []), ["model", element("a", { href: `${ROOT}/models/${encodeURIComponent(run.model)}` }, run.model)],
      ...Object.entries(run.settings ?? {}).map(([name, value]) => [name.replaceAll("_", " "), value === null ? "–" : String(value)]),
      ["started", timeText(run.created)], ["finished", timeText(run.finished)],
      ["shards", Object.entries(run.shards ?? {}).filter(([, n]) => n).map(([state, n]) => `${n} ${state}`).join(", ")],
    ])));
  if ((run.rejected ?? 0) + (run.quarantined ?? 0) > 0) box.append(await rejectsNode(number_));
}

async function rejectsNode(run) {
  const answer = await ask(`runs/${run}/rejects`, { limit: MAX_REJECTS });
  const rows = answer.rejects ?? answer.rows ?? answer;
  const advice = new Map((answer.reasons ?? []).map((reason) => [reason.reason, reason]));
  const groups = new Map();
  for (const row of rows) groups.set(row.reason, [...(groups.get(row.reason) ?? []), row]);
  const parts = [...groups].map(([reason, inputs]) => {
    const known = advice.get(reason) ?? inputs[0];
    const n = advice.get(reason)?.n ?? inputs.length;
    return [element("div", { class: "reason" }, element("h3", {}, `${reason.replaceAll("_", " ")} (${count(n)})`),
      element("p", {}, [known.sentence, known.advice].filter(Boolean).join(" "))),
      tableNode(["id", "source", "stage", "detail"], inputs.map((row) => [row.source_id, sourceNode(fileName(row.source)), row.stage, row.detail]), `Inputs: ${reason.replaceAll("_", " ")}`)];
  });
  return sectionNode("Inputs without a result", parts, rows.length >= MAX_REJECTS ? element("p", { class: "note" }, "The first ones only; gmtscreen rejects prints all.") : null);
}

const box = byId("records");
(box.dataset.run ? showRun(box, box.dataset.run) : showRuns(box)).catch((error) => {
  box.replaceChildren();
  byId("records-error").textContent = error.message;
});
