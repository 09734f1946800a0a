// The scoreboard: public predictions scored again, and the shipped models on the same crystals.

import { ask } from "../core/api.js";
import { byId, element, svg } from "../core/dom.js";
import { number } from "../core/format.js";
import { sectionNode, tableNode } from "./tables.js";

const TITLES = {
  jarvis: "JARVIS leaderboard", binaries: "K and G of binaries, beside potentials", paper: "The protocol of the GMTNet paper",
  matbench: "Matbench", configurations: "Speed, size and accuracy of every configuration",
};
const ORIGINS = {
  ours: "predicted and scored here", "re-scored": "predictions of others, scored here", quoted: "figure as published, not measured here",
  baseline: "a constant, scored here", missing: "cannot be had; see the note",
};
const DIGITS = 4;
const WIDTH = 150;

/** A number with the ends of its interval. */
function figureNode(figure) {
  if (!figure || figure.value === null) return "–";
  const ends = figure.low === null ? null : element("span", { class: "ends" }, ` ${number(figure.low, DIGITS - 1)}–${number(figure.high, DIGITS - 1)}`);
  return element("span", {}, number(figure.value, DIGITS), ends);
}

/** The first figure of a row as a bar from zero, with its interval as a line. */
function barNode(row, table, most) {
  const figure = row.figures[table.columns[0]];
  if (!figure || figure.value === null) return "";
  const place = (value) => (WIDTH * value) / most;
  const interval = figure.low === null ? null : svg("line", { x1: place(figure.low), x2: place(figure.high), y1: 7, y2: 7 });
  return svg("svg", { class: "bar", viewBox: `0 0 ${WIDTH} 14`, "aria-hidden": "true" },
    svg("rect", { x: 0, y: 2, width: place(figure.value), height: 10, class: row.origin === "ours" ? "of-ours" : "" }), interval);
}

function tableNodes(table) {
  const notes = [...new Set(table.rows.map(({ note }) => note).filter(Boolean))];
  const most = Math.max(...table.rows.map((row) => { const figure = row.figures[table.columns[0]]; return figure?.high ?? figure?.value ?? 0; }), 1e-12);
  const withBars = table.section !== "configurations";
  const rows = table.rows.map((row) => [
    element("span", { class: row.origin, title: row.sha256 ? `${ORIGINS[row.origin]}; sha256 ${row.sha256}` : ORIGINS[row.origin] }, row.predictor, row.note ? element("sup", {}, ` ${notes.indexOf(row.note) + 1}`) : null),
    row.origin, row.subset || "all", row.n, withBars ? barNode(row, table, most) : null, ...table.columns.map((name) => figureNode(row.figures[name])),
  ]);
  const heads = ["predictor", "origin", "crystals", "n", withBars ? "" : null, ...table.columns];
  const kept = heads.map((head, index) => (head === null ? null : index)).filter((index) => index !== null);
  const right = heads.map((_, index) => index).filter((index) => index === 3 || index > 4).map((index) => kept.indexOf(index));
  const unit = table.unit && table.unit !== "1" ? ` (${table.unit.replace("C/m^2", "C/m²")})` : "";
  const split = table["n_split"] === null ? table.split : `${table.split}, ${table["n_split"].toLocaleString("en")} crystals`;
  return [
    element("h3", {}, `${table.title}${unit}`), element("p", { class: "task" }, `${table.task} · ${split}`),
    tableNode(kept.map((index) => heads[index]), rows.map((row) => kept.map((index) => row[index])), "", right),
    notes.length ? element("ol", { class: "footnotes" }, notes.map((note) => element("li", {}, note))) : null,
    table.notes.map((sentence) => element("p", { class: "note" }, sentence)), element("p", { class: "note" }, `Source: ${table.source}.`),
  ];
}

/** A panel per section, in the order of the titles. */
async function showScoreboard(box) {
  const { tables } = await ask("scoreboard");
  const sections = Object.keys(TITLES).filter((name) => tables.some(({ section }) => section === name));
  if (!sections.length) {
    box.replaceChildren(element("p", {}, "No figures are kept; make them: ", element("code", {}, "gmtscreen scoreboard --into-explorer")));
    return;
  }
  const links = element("ul", { class: "sections" }, sections.map((name) => element("li", {}, element("a", { href: `#${name}` }, TITLES[name]))));
  box.replaceChildren(links, ...sections.map((name) => {
    const panel = sectionNode(TITLES[name], tables.filter(({ section }) => section === name).map(tableNodes));
    panel.id = name;
    panel.classList.add("board");
    return panel;
  }));
  // The browser looked for the address's section before there was one.
  if (location.hash) byId(location.hash.slice(1))?.scrollIntoView();
}

showScoreboard(byId("records")).catch((error) => {
  byId("records").replaceChildren();
  byId("records-error").textContent = error.message;
});
