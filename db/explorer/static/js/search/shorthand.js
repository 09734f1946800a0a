// What people type into a search box before they know the filter language: a formula, a chemical system, an id.

import { SYMBOLS } from "../structure/atoms.js";

const SYMBOL = "(?:[A-Z][a-z]?)";
const FORMULA = new RegExp(`^(?:${SYMBOL}\\d*|\\((?:${SYMBOL}\\d*)+\\)\\d*)+$`);
const SYSTEM = new RegExp(`^${SYMBOL}(?:-${SYMBOL})+$`);
const ELEMENTS = new RegExp(`^${SYMBOL}(?:(?:\\s*,\\s*|\\s+)${SYMBOL})+$`);
const CONTENT_ID = /^gx-[0-9a-f]{20}$/;
const SOURCE_ID = /^[\w.-]+:[^\s"\\]+$/;

function quoted(text) {
  return text.match(/[A-Z][a-z]?/g).map((symbol) => `"${symbol}"`);
}

/** The filter that a shorthand stands for; a text that is none, or a filter already, stays as it is. */
export function filterOf(text) {
  const typed = text.trim();
  if (CONTENT_ID.test(typed)) return `id = "${typed}"`;
  if (SOURCE_ID.test(typed) && !typed.startsWith("preset:")) return `source_ids HAS "${typed}"`;
  const words = typed.match(/[A-Z][a-z]?/g) ?? [];
  if (!words.length || !words.every((word) => SYMBOLS.includes(word))) return typed; // NOT is no compound
  if (SYSTEM.test(typed)) return `elements HAS ALL ${quoted(typed).join(",")} AND nelements = ${new Set(quoted(typed)).size}`;
  if (ELEMENTS.test(typed)) return `elements HAS ALL ${quoted(typed).join(",")}`;
  // One symbol is what one looks for, not the pure element.
  if (new RegExp(`^${SYMBOL}$`).test(typed)) return `elements HAS ALL "${typed}"`;
  return FORMULA.test(typed) ? `formula = "${typed}"` : typed;
}
