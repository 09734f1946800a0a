// Where a crystal came from and what computed its numbers.

import { ROOT } from "../core/api.js";
import { element } from "../core/dom.js";
import { number, timeText } from "../core/format.js";
import { sourceNode } from "../records/tables.js";

const MAX_SHOWN = 20;

function pairs(entries) {
  return element("dl", { class: "facts" }, entries.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function metadataText(metadata) {
  // What is no number or short text is in the JSON.
  const plain = Object.entries(metadata ?? {}).filter(([, value]) => typeof value === "number" || (typeof value === "string" && value.length < 80));
  return plain.map(([key, value]) => `${key.replaceAll("_", " ")} ${typeof value === "number" ? number(value) : value}`).join(", ");
}

function inputRow(arrival) {
  const doubts = [...(arrival.doubts ?? []), ...(arrival.doubt_notes ?? [])];
  return element("tr", {}, element("td", {}, arrival.source_id), element("td", {}, sourceNode(fileName(arrival.source)), element("small", { class: "note" }, ` no. ${arrival.position}`)),
    element("td", {}, element("a", { href: `${ROOT}/runs/${arrival.run}` }, `run ${arrival.run}`)),
    element("td", {}, arrival.outcome, arrival.reason ? `: ${arrival.reason}` : ""),
    element("td", {}, metadataText(arrival.metadata), doubts.length ? element("span", { class: "badge warn" }, doubts.join("; ")) : null,
      arrival["turn"] ? element("small", { class: "note" }, " in another orientation") : null));
}

/** The last part of a path or address: whole ones are in the JSON. */
function fileName(source) {
  return String(source ?? "").split("/").pop() || String(source ?? "");
}

/** How the crystal was made, each way once, with a link to the parent where it is stored. */
function lineageNode(rows) {
  const made = [...new Map(rows.map((row) => [row.text, row])).values()];
  return made.length ? element("ul", {}, made.slice(0, MAX_SHOWN).map((row) => element("li", {}, row.text,
    row.parent_id ? [" · ", element("a", { href: `${ROOT}/crystals/${encodeURIComponent(row.parent_id)}` }, "parent")] : null))) : null;
}

/** Why it was proposed, with links to the designs. */
function proposalsNode(rows) {
  return rows.length ? element("ul", {}, rows.slice(0, MAX_SHOWN).map((row) => element("li", {},
    element("a", { href: `${ROOT}/designs/${row["design_id"]}` }, `design ${row["design_id"]}`), row.text.replace(`proposed by design ${row["design_id"]}`, "")))) : null;
}

/** Model, run, time; how it was made; why it was proposed; inputs, duplicates and the mirror image. */
export function showProvenance(box, { facts, result }) {
  const mirror = facts["twin_id"];
  const image = mirror ? (facts["twin_stored"] ? element("a", { href: `${ROOT}/crystals/${encodeURIComponent(mirror)}` }, mirror) : `${mirror} (not in this database)`) : null;
  const accepted = facts.inputs.filter(({ outcome }) => outcome === "accepted").length;
  box.replaceChildren(
    pairs([
      ["model", element("a", { href: `${ROOT}/models/${encodeURIComponent(result.model)}` }, `${result.model} (${result.model_state})`)],
      ["weights", element("span", { class: "mono" }, result.model_sha256)],
      ["computed", `${timeText(result.created)}, run ${result.run}`],
      ["symmetry search", `symprec ${result.symprec} Å`],
      ["mirror image", image],
      ["made by", lineageNode(facts.lineage)],
      ["proposed by", proposalsNode(facts.proposals)],
      ["made from it", Object.entries(facts.children).map(([operation, n]) => `${n} by ${operation}`).join(", ")],
      ["inputs", accepted === facts.inputs.length ? String(accepted) : `${facts.inputs.length}, of which ${facts.inputs.length - accepted} the same crystal again`],
    ]),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Inputs" }, element("table", {}, element("caption", {}, "Inputs that gave this crystal"),
      element("thead", {}, element("tr", {}, ["source id", "source", "run", "outcome", "came with"].map((text) => element("th", { scope: "col" }, text)))),
      element("tbody", {}, facts.inputs.slice(0, MAX_SHOWN).map(inputRow)))),
    facts.inputs.length > MAX_SHOWN ? element("p", { class: "note" }, `and ${facts.inputs.length - MAX_SHOWN} more`) : "");
}
