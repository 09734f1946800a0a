// Model versions: accuracy on held-out crystals, whether the intervals hold what they say, and who decided what.

import { ROOT, ask } from "../core/api.js";
import { byId, element, svg } from "../core/dom.js";
import { nameNode, number, shortName, timeText } from "../core/format.js";
import { sectionNode, tableNode, tilesNode } from "./tables.js";

const TENSOR_NAMES = { dielectric_electronic: "ε∞", dielectric_total: "ε0", piezoelectric: "e", elastic_voigt: "C" };
const GOAL = 90;

function stateBadge(state) {
  return element("span", { class: `badge ${state === "current" ? "good" : ""}` }, state);
}

async function showModels(box) {
  const answer = await ask("models");
  const models = answer.models ?? answer;
  const rows = models.map((model) => [
    element("a", { href: `${ROOT}/models/${encodeURIComponent(`${model.name}@${model.version}`)}` }, `${model.name}@${model.version}`),
    model.state ? stateBadge(model.state) : "", accuracyText(model.metrics), timeText(model.created), element("span", { class: "mono" }, (model.sha256 ?? "").slice(0, 12)),
  ]);
  box.replaceChildren(sectionNode("All versions", tableNode(["version", "state", "median relative error of mean ε∞, K, e on test", "registered", "sha256"], rows)));
}

function accuracyText(metrics) {
  const rows = onTest(metrics?.properties ?? []).filter(({ predictor }) => predictor === "model");
  const shown = ["eps_electronic_mean", "k_vrh_gpa", "e_max_c_per_m2"].map((name) => rows.find(({ property }) => property === name)).filter(Boolean);
  return shown.map(({ median_relative: median }) => (median === null || median === undefined ? "–" : `${number(100 * median, 2)} %`)).join(", ");
}

/** Share of held-out crystals inside the 90 % interval, property by property. */
export function coverageNode(rows) {
  const [left, right, row] = [210, 40, 22];
  const width = 760;
  const height = rows.length * row + 40;
  const [low, high] = [70, 100];
  const place = (share) => left + ((width - left - right) * (Math.max(low, share) - low)) / (high - low);
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": "Coverage of the 90 % intervals on held-out crystals" },
    [70, 80, 90, 100].map((tick) => [svg("line", { x1: place(tick), x2: place(tick), y1: 8, y2: height - 24, class: tick === GOAL ? "goal" : "grid" }),
      svg("text", { x: place(tick), y: height - 6, "text-anchor": "middle" }, `${tick} %`)]),
    rows.map(({ quantity, coverage, n }, index) => {
      const y = 20 + index * row;
      // Two standard deviations of a share measured on n crystals.
      const error = 200 * Math.sqrt((coverage / 100) * (1 - coverage / 100) / n);
      const [symbol, small] = shortName(quantity);
      return [svg("text", { x: left - 10, y: y + 4, "text-anchor": "end" }, `${symbol}${small ? ` ${small}` : ""} (${n})`),
        svg("line", { x1: place(coverage - error), x2: place(Math.min(100, coverage + error)), y1: y, y2: y, class: "stem" }),
        svg("circle", { cx: place(coverage), cy: y, r: 4.5, class: "dot" }, svg("title", {}, `${quantity}: ${number(coverage, 3)} % of ${n}`))];
    }));
}

/** Rows of the test split where there are any. */
function onTest(rows) {
  const test = rows.filter(({ split }) => split === "test");
  return test.length ? test : rows;
}

function tensorRows(metrics) {
  return onTest(metrics.tensors ?? []).filter((row) => (row.predictor ?? "model") === "model").filter((row) => !row.system || row.system === "all").map((row) => [
    TENSOR_NAMES[row.quantity ?? row.tensor] ?? row.quantity ?? row.tensor ?? "", row.split ?? "", row.labels ?? "", row.n ?? null, row.fnorm ?? null, row.ewt25 ?? null, row.ewt10 ?? null, row.ewt5 ?? null,
  ]);
}

async function showModel(box, name) {
  const model = await ask(`models/${encodeURIComponent(name)}`);
  const metrics = model.metrics ?? {};
  const properties = onTest(metrics.properties ?? []).filter(({ predictor }) => predictor === "model");
  const distance = onTest(metrics["novelty"] ?? []);
  const coverage = (metrics.coverage ?? []).filter(({ split, system }) => split === "test" && system === "all");
  const shown = coverage.length ? coverage : (metrics.coverage ?? []).filter(({ system }) => system === "all");
  box.replaceChildren(...[
    sectionNode("Version", tilesNode([["state", model.state], ["registered", timeText(model.created)], ["networks", metrics.provenance?.["members"]], ["code", model.code_version ?? null], ["snapshot of labels", model.snapshot ?? null]]),
      element("p", { class: "note" }, "sha256 ", element("span", { class: "mono" }, model.sha256))),
    properties.length ? sectionNode("Accuracy on held-out crystals", tableNode(["property", "crystals", "mean absolute error", "median relative error", "rank correlation", "top 5 % found"], properties.map((row) => [
      nameNode(row.property), row.n ?? null, row.mae ?? null, row.median_relative === null || row.median_relative === undefined ? "–" : `${number(100 * row.median_relative, 3)} %`, row.spearman ?? null, row.top5_hits === undefined || row.top5_hits === null ? "–" : `${number(row.top5_hits, 3)} %`]))) : null,
    tensorRows(metrics).length ? sectionNode("Tensors", tableNode(["tensor", "split", "labels", "crystals", "Fnorm", "within 25 %", "within 10 %", "within 5 %"], tensorRows(metrics))) : null,
    shown.length ? sectionNode("Calibration of the 90 % intervals", element("p", {}, `Share of ${shown[0].split} crystals whose calculated value lies inside the interval; the dashed line is the 90 % that is promised, bars are two standard deviations.`), coverageNode(shown)) : null,
    distance.length ? sectionNode("Errors by distance from the training data", element("p", {}, "Median relative error of the tensor in thirds of the distance score, and of the crystals that are flagged as far."),
      tableNode(["tensor", "crystals", "near", "middle", "far", "flagged", "rank correlation"], distance.map((row) => [TENSOR_NAMES[row.quantity] ?? row.quantity, row.n,
        ...["low", "middle", "high", "flagged"].map((part) => `${number(100 * row[`median_${part}`], 3)} %`), row.spearman]))) : null,
    gateNode(model),
    model.batches?.length ? sectionNode("Label batches", tableNode(["batch", "labels", "from"], model.batches.map((batch) => [String(batch.batch ?? batch.id), batch.n ?? null, batch.source ?? batch.provider ?? ""]))) : null,
    model.card ? sectionNode("Card", element("pre", { tabindex: "0" }, typeof model.card === "string" ? model.card : JSON.stringify(model.card, null, 2).slice(0, 20000))) : null,
  ].filter(Boolean));
}

/** What was decided about the version, and the checks that it passed or failed. */
function gateNode(model) {
  const decisions = model.decisions ?? [];
  if (!decisions.length) return null;
  const rows = decisions.map((decision) => [timeText(decision.created), decision.state ?? decision.decision ?? decision.action ?? "", decision.actor ?? decision.by ?? "", decision.reason ?? decision.why ?? ""]);
  const checks = decisions.flatMap((decision) => decision.report?.checks ?? decision.checks ?? []);
  return sectionNode("Decisions and gate", tableNode(["when", "what", "by", "why"], rows),
    checks.length ? tableNode(["check", "passed", "figure", "limit"], checks.map((check) => [check.name ?? check.check, check.passed ? "yes" : "no", check.value ?? check.figure ?? null, check.limit ?? check.bound ?? null]), "Checks of the gate") : null);
}

const box = byId("records");
(box.dataset.model ? showModel(box, box.dataset.model) : showModels(box)).catch((error) => {
  box.replaceChildren();
  byId("records-error").textContent = error.message;
});
