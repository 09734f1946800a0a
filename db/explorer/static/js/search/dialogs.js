// Three dialogs: which columns, the same query in other places, downloads.

import { byId, copyText, element } from "../core/dom.js";
import { nameNode, unitText } from "../core/format.js";
import { DEFAULT_FIELDS } from "./state.js";

const GROUPS = ["composition", "symmetry", "elastic", "piezoelectric", "dielectric", "thermal", "reliability", "second opinion", "provenance"];
const FORMATS = [["csv", "CSV", "columns of the table with their intervals, tensor components"], ["json", "JSON", "every column"], ["extxyz", "extxyz", "structures with tensors, for ASE"], ["parquet", "Parquet", "tensors and intervals, for DuckDB and polars"]];

function setUpColumns(state, known) {
  const dialog = byId("columns-dialog");
  const list = byId("columns-list");
  const find = byId("columns-find");
  const boxes = new Map();

  const fill = () => {
    const shown = new Set(state.list("fields"));
    const rows = [...known.values()].filter(({ name }) => !/_(lo|hi)$/.test(name));
    const groups = [...new Set([...GROUPS, ...rows.map(({ group }) => group)])];
    list.replaceChildren(...groups.map((group) => {
      const labels = rows.filter((row) => row.group === group).map((row) => {
        const box = element("input", { type: "checkbox", checked: shown.has(row.name) });
        boxes.set(row.name, box);
        return element("label", { "data-words": `${row.name} ${row.description}`.toLowerCase() }, box,
          element("span", {}, nameNode(row.name), " ", element("small", {}, `${row.description}${unitText(row.unit) ? `, ${unitText(row.unit)}` : ""}`)));
      });
      return labels.length ? element("fieldset", {}, element("legend", {}, group), labels) : null;
    }).filter(Boolean));
  };
  find.addEventListener("input", () => {
    const word = find.value.toLowerCase();
    for (const label of list.querySelectorAll("label")) label.hidden = !label.dataset.words.includes(word);
    for (const group of list.querySelectorAll("fieldset")) group.hidden = !group.querySelector("label:not([hidden])");
  });
  byId("columns-button").addEventListener("click", () => { fill(); find.value = ""; dialog.returnValue = ""; dialog.showModal(); });
  byId("columns-default").addEventListener("click", () => { for (const [name, box] of boxes) box.checked = DEFAULT_FIELDS.includes(name); });
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "apply") return;
    const chosen = [...boxes].filter(([, box]) => box.checked).map(([name]) => name);
    // Columns that stay keep their places; new ones come behind.
    const before = state.list("fields").filter((name) => chosen.includes(name));
    state.set({ fields: [...before, ...chosen.filter((name) => !before.includes(name))].join(",") });
  });
}

/** The texts of the query for Python, a shell and HTTP. */
export function queryTexts({ filter, sort, fields }, origin, address) {
  const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const literal = (text) => (text.includes('"') && !/['\\]/.test(text) ? `'${text}'` : JSON.stringify(text));
  const sortPython = sort ? `,\n    sort=${literal(sort)}` : "";
  const columns = fields.map((name) => JSON.stringify(name)).join(", ");
  const python = `from db.store import ResultStore\n\nstore = ResultStore("gmtscreen.db")\nhits = store.query(  # a pandas DataFrame\n    ${literal(filter)}${sortPython},\n    fields=[${columns}],\n    limit=100,\n)`;
  const command = `gmtscreen query ${shell(filter)}${sort ? ` --sort=${sort}` : ""} --fields ${fields.join(",")} --limit 100`;
  return [
    ["Python", python],
    ["Shell", command],
    ["HTTP", `curl ${shell(`${origin}${address("crystals", { filter, sort, fields: fields.join(","), limit: 100 })}`)}`],
    ["OPTIMADE", `curl ${shell(`${origin}${address("../../optimade/v1/structures", { filter }).replace("/api/v1/../..", "")}`)}`],
  ];
}

/** Names of properties, each followed by the ends of its interval where it has one, none twice. */
function withIntervals(names, known) {
  return [...new Set(names.flatMap((name) => [name, ...(known.get(name)?.interval ?? [])]))];
}

/** Connects the dialogs to their buttons. */
export function setUpDialogs(state, known, address) {
  setUpColumns(state, known);
  byId("code-button").addEventListener("click", () => {
    const question = { filter: state.get("filter"), sort: state.get("sort"), fields: ["id", ...state.list("fields").filter((name) => name !== "id" && known.has(name))] };
    byId("code-blocks").replaceChildren(...queryTexts(question, location.origin, address).map(([title, text]) => {
      const button = element("button", { type: "button", "aria-label": `Copy ${title}`, onclick: () => copyText(text, button) }, "Copy");
      return element("section", { class: "code-block" }, element("header", {}, element("h3", {}, title), button), element("pre", { tabindex: "0" }, element("code", {}, text)));
    }));
    byId("code-dialog").showModal();
  });
  byId("download-button").addEventListener("click", () => {
    const common = { filter: state.get("filter"), sort: state.get("sort") };
    byId("download-links").replaceChildren(
      element("p", { class: "note" }, "All crystals that the filter leaves, in the order of the table, up to the server's limit."),
      ...FORMATS.map(([format, name, why]) => element("p", {},
        element("a", { class: "button", href: address("export", { ...common, format, ...(format === "csv" ? { fields: withIntervals(["id", ...state.list("fields")], known).join(",") } : {}) }), download: "" }, name), element("span", { class: "note" }, why))),
      element("p", { class: "note" }, "CIF, POSCAR and more: ", element("code", {}, "gmtscreen export"), " writes them for any number of crystals."));
    byId("download-dialog").showModal();
  });
}
