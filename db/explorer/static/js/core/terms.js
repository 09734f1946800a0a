// A filter as the terms that AND joins, so that sliders, elements and facets edit the text a person can also edit.

const TOKEN = /"(?:[^"\\]|\\.)*"?|[()]|[^\s()"]+|\s+/g;

/** The words, texts and parentheses of a filter, each with its place. */
export function tokens(text) {
  return [...text.matchAll(TOKEN)].map((match) => ({ text: match[0], start: match.index, end: match.index + match[0].length }));
}

/** The terms that AND joins at the top; one term where OR stands at the top. */
export function splitTerms(text) {
  const terms = [];
  let depth = 0;
  let start = 0;
  for (const token of tokens(text)) {
    if (token.text === "(") depth += 1;
    else if (token.text === ")") depth -= 1;
    else if (depth === 0 && /^or$/i.test(token.text)) return text.trim() ? [text.trim()] : [];
    else if (depth === 0 && /^and$/i.test(token.text)) {
      terms.push(text.slice(start, token.start).trim());
      start = token.end;
    }
  }
  terms.push(text.slice(start).trim());
  return terms.filter(Boolean);
}

function hasTopLevelOr(term) {
  let depth = 0;
  for (const token of tokens(term)) {
    if (token.text === "(") depth += 1;
    else if (token.text === ")") depth -= 1;
    else if (depth === 0 && /^or$/i.test(token.text)) return true;
  }
  return false;
}

/** One filter of several terms; a term with OR is put into parentheses. */
export function joinTerms(terms) {
  if (terms.length < 2) return terms.join("");
  return terms.map((term) => (hasTopLevelOr(term) ? `(${term})` : term)).join(" AND ");
}

/** The filter with the terms that `owned` recognises replaced by others (none removes them). */
export function replaceTerms(text, owned, replacements) {
  const terms = splitTerms(text);
  const at = terms.findIndex(owned);
  const kept = terms.filter((term) => !owned(term));
  kept.splice(at < 0 ? kept.length : Math.min(at, kept.length), 0, ...replacements);
  return joinTerms(kept);
}

const COMPARISON = /^(?:_gmt_)?(\w+)\s*(>=|<=|>|<|=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)$/;

/** The bounds that the filter sets for a number, and which terms set them. */
export function rangeOf(text, name) {
  const range = { low: null, high: null };
  for (const term of splitTerms(text)) {
    const match = COMPARISON.exec(term);
    if (match?.[1] !== name) continue;
    if (match[2] !== "<" && match[2] !== "<=") range.low = Number(match[3]);
    if (match[2] !== ">" && match[2] !== ">=") range.high = Number(match[3]);
  }
  return range;
}

/** True for a term that bounds the number. */
export function boundsNumber(term, name) {
  return COMPARISON.exec(term)?.[1] === name;
}

/** The filter with other bounds of a number; null leaves a side open. */
export function withRange(text, name, low, high) {
  const terms = [];
  if (low !== null) terms.push(`${name} >= ${low}`);
  if (high !== null) terms.push(`${name} <= ${high}`);
  return replaceTerms(text, (term) => boundsNumber(term, name), terms);
}

const VALUE = /^(?:_gmt_)?(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|TRUE|FALSE|-?\d+)$/i;

/** What a text, flag or whole number must equal, as it stands in the filter; null where nothing is asked. */
export function valueOf(text, name) {
  for (const term of splitTerms(text)) {
    const match = VALUE.exec(term);
    if (match?.[1] === name) return match[2];
    if (term === name) return "TRUE";
    if (term === `NOT ${name}`) return "FALSE";
  }
  return null;
}

/** The filter that asks for a value of a text, flag or whole number; null asks for none. */
export function withValue(text, name, literal) {
  const owned = (term) => VALUE.exec(term)?.[1] === name || term === name || term === `NOT ${name}`;
  return replaceTerms(text, owned, literal === null ? [] : [`${name} = ${literal}`]);
}

const ELEMENTS = /^(NOT\s+)?\(?\s*elements\s+HAS\s*(ALL|ANY|ONLY)?\s*((?:"[A-Z][a-z]?"\s*,?\s*)+)\)?$/;

/** The elements that the filter asks for: `mode` is ALL, ANY or ONLY. */
export function elementsOf(text) {
  const asked = { mode: "ALL", wanted: [], excluded: [] };
  for (const term of splitTerms(text)) {
    const match = ELEMENTS.exec(term);
    if (!match) continue;
    const symbols = [...match[3].matchAll(/[A-Z][a-z]?/g)].map((symbol) => symbol[0]);
    if (match[1]) asked.excluded.push(...symbols);
    else {
      asked.wanted.push(...symbols);
      asked.mode = match[2] ?? "ALL";
    }
  }
  return asked;
}

/** The filter that asks for these elements. */
export function withElements(text, { mode, wanted, excluded }) {
  const quoted = (symbols) => symbols.map((symbol) => `"${symbol}"`).join(",");
  const terms = [];
  if (wanted.length) terms.push(`elements HAS ${mode} ${quoted(wanted)}`);
  if (excluded.length) terms.push(`NOT elements HAS ANY ${quoted(excluded)}`);
  return replaceTerms(text, (term) => ELEMENTS.test(term), terms);
}
