// Designs: what is looked for, how the rounds went, and which crystals are proposed and why.

import { ROOT, ask, properties } from "../core/api.js";
import { byId, element } from "../core/dom.js";
import { axisText, count, durationText, formulaNode, nameNode, number, timeText, unitText } from "../core/format.js";
import { lineChart } from "../drawing/line_chart.js";
import { sectionNode, tableNode, tilesNode } from "./tables.js";

const SHARES = [["done", "computed", "first"], ["new", "new", "third"], ["wanted", "wanted", "second"], ["rejected", "refused", "fourth"]];
const COMPARED = 6;
const WIDTH = "_half_width";
const SHA256 = /^[0-9a-f]{64}$/;

function goalOf(design) {
  return { name: design.sort.replace(/^-/, ""), large: design.sort.startsWith("-") };
}

function filterNode(design) {
  return design.filter.trim() ? element("code", {}, design.filter) : "all crystals";
}

function modelNode(model) {
  return model ? element("a", { href: `${ROOT}/models/${encodeURIComponent(model)}` }, model) : "–";
}

/** All designs, the newest first. */
async function showDesigns(box) {
  const { designs } = await ask("designs");
  if (!designs.length) {
    box.replaceChildren(element("p", {}, "No designs yet; start one: ", element("code", {}, "gmtscreen design 'NOT metal AND NOT ood' --sort=-d_max_pc_per_n")));
    return;
  }
  const rows = designs.map((design) => {
    const goal = goalOf(design);
    return [element("a", { href: `${ROOT}/designs/${design.design}` }, `design\u00a0${design.design}`), [goal.large ? "large " : "small ", nameNode(goal.name)],
      filterNode(design), design.rounds, design.proposals, modelNode(design.settings.model), timeText(design.created)];
  });
  box.replaceChildren(sectionNode("All designs", tableNode(["", "looked for", "among", "rounds", "proposals", "model", "started"], rows)));
}

/** One design: goal, rounds, proposals. */
async function showDesign(box, number_) {
  const [design, known] = await Promise.all([ask(`designs/${number_}`), properties()]);
  const goal = goalOf(design);
  const property = known.get(goal.name) ?? { name: goal.name, unit: "" };
  const { model, ...settings } = design.settings;
  const search = `${ROOT}/?${new URLSearchParams({ filter: design.filter, sort: design.sort })}`;
  box.replaceChildren(
    sectionNode("Goal", tilesNode([["looked for", [goal.large ? "large " : "small ", nameNode(goal.name)]], ["rounds", count(design.rounds.length)], ["proposals", count(design.proposals.length)],
      ["best wanted crystal", bestText(design, goal.large, unitText(property.unit))], ["started", timeText(design.created)]]),
    element("p", { class: "among" }, "Among: ", filterNode(design), " · ", element("a", { href: search }, "search with this filter")),
    element("p", { class: "note" }, "model ", modelNode(model), Object.entries(settings).filter(([, value]) => value !== null && value !== "").map(([name, value]) => `, ${name.replaceAll("_", " ")} ${SHA256.test(value) ? value.slice(0, 12) : value}`))),
    sectionNode("Rounds", ...roundsNodes(design.rounds, property, goal.large)),
    sectionNode("Proposals", ...proposalsNodes(design.proposals, property)));
  if (design.refused.length) box.append(refusedNode(design.refused, property));
}

function bestText({ rounds }, large, unit) {
  const ends = rounds.filter(({ quantiles }) => quantiles.length).map(({ quantiles }) => quantiles[large ? 4 : 0]);
  return ends.length ? `${number(large ? Math.max(...ends) : Math.min(...ends))} ${unit}` : null;
}

function roundsNodes(rounds, property, large) {
  if (!rounds.length) return [element("p", { class: "note" }, "No round is finished yet.")];
  const x = rounds.map((round) => round.number);
  const place = (index) => rounds.map(({ quantiles }) => quantiles[index] ?? null);
  const share = (name) => rounds.map(({ counts }) => (100 * (counts[name] ?? 0)) / Math.max(1, counts["n_in"]));
  const best = large ? 4 : 0;
  const charts = [
    rounds.some(({ quantiles }) => quantiles.length) ? lineChart({
      x, xLabel: "round", yLabel: axisText(property), unit: unitText(property.unit), label: `Predicted ${axisText(property)} of wanted crystals, round by round`,
      lines: [{ name: "median", values: place(2), kind: "first" }, { name: "best", values: place(best), kind: "second" }], band: { name: "10 to 90 %", low: place(1), high: place(3) },
    }) : element("p", { class: "note" }, "No round had a wanted crystal."),
    lineChart({
      x, xLabel: "round", yLabel: "share of the crystals begun (%)", unit: "%", range: [0, 100], label: "Where the crystals of each round ended",
      lines: SHARES.map(([name, shown, kind]) => ({ name: shown, values: share(name), kind })),
    }),
  ];
  const cell = (quantiles, index) => (quantiles.length ? number(quantiles[index]) : "–");
  const rows = rounds.map((round) => [String(round.number), element("a", { href: `${ROOT}/runs/${round.run}` }, `run\u00a0${round.run}`),
    ...["n_in", "done", "duplicate", "rejected", "quarantined", "new", "wanted"].map((name) => round.counts[name] ?? 0),
    ...[large ? 1 : 3, 2, large ? 3 : 1, best].map((index) => cell(round.quantiles, index)), number(round.divergence, 3), durationText(round.seconds)]);
  const heads = ["round", "run", "begun", "computed", "duplicate", "refused", "quarantined", "new", "wanted", ...[large ? "10 %" : "90 %", "median", large ? "90 %" : "10 %", "best"], "divergence", "time"];
  return [element("div", { class: "charts" }, charts), tableNode(heads, rows, `Counts, and ${axisText(property)} of the wanted crystals that are new`, heads.map((_, index) => index).slice(9)),
    element("p", { class: "note" }, "new: not of an earlier round. wanted: passes the filter. divergence: of the generator that the round led to from the first one, in nats per crystal.")];
}

/** A fact as the head of a column: its unit behind it. */
function reasonText(name) {
  return name.replace(/_ev_per_atom$/, " (eV/atom)").replaceAll("_", " ");
}

/** A fact, with half the width of its interval where that is known. */
function factText(facts, name) {
  const width = facts[name.replace(/_ev_per_atom$/, `${WIDTH}_ev_per_atom`)];
  return facts[name] === undefined ? "–" : `${facts[name].toFixed(2).replace("-", "−")}${name.endsWith("_ev_per_atom") && width !== undefined ? ` ± ${width.toFixed(2)}` : ""}`;
}

function chosenCells(row) {
  return [String(row.rank), element("a", { href: `${ROOT}/crystals/${encodeURIComponent(row["crystal_id"])}`, title: row.text }, formulaNode(row.formula)), row.round, number(row.value)];
}

/** What was chosen and is not proposed after all. */
function refusedNode(rows, property) {
  const heads = ["rank", "crystal", "round", [nameNode(property.name), ` ${unitText(property.unit)}`], "why not"];
  return sectionNode("Chosen and refused", tableNode(heads, rows.map((row) => [...chosenCells(row), row.refused.replaceAll("_", " ")]), "Not proposed, in the order in which they were chosen", [2, 3]));
}

function proposalsNodes(proposals, property) {
  if (!proposals.length) return [element("p", { class: "note" }, "Nothing is proposed yet: that comes after the last round.")];
  const reasons = [...new Set(proposals.flatMap(({ facts }) => Object.keys(facts)))].filter((name) => !name.includes(WIDTH));
  const heads = ["rank", "crystal", "round", [nameNode(property.name), ` ${unitText(property.unit)}`], ...reasons.map(reasonText)];
  const rows = proposals.map((row) => [...chosenCells(row), ...reasons.map((name) => factText(row.facts, name))]);
  const first = proposals.slice(0, COMPARED).map((row) => row["crystal_id"]);
  return [tableNode(heads, rows, "The first to calculate first", heads.map((_, index) => index).slice(2)),
    element("p", { class: "note" }, "promise: probability to be among the best. uncertainty: place in the order of uncertainty, 0 to 1. crowding: likeness to the nearest proposal before it, 0 to 1. Crystals come in the order of promise × (1 + uncertainty), unless they are too much like one before."),
    first.length > 1 ? element("p", {}, element("a", { href: `${ROOT}/compare?${new URLSearchParams({ ids: first.join(",") })}` }, `Compare the first ${first.length}`)) : null];
}

const box = byId("records");
(box.dataset.design ? showDesign(box, box.dataset.design) : showDesigns(box)).catch((error) => {
  box.replaceChildren();
  byId("records-error").textContent = error.message;
});
