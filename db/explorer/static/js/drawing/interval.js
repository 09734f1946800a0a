// A 90 % interval as a bar with a tick at the predicted value.

import { svg } from "../core/dom.js";

/** The horizontal bar of an interval in a column; all bars of a column have the same ends. */
export function intervalBar(value, low, high, scale) {
  const place = (each) => (100 * Math.min(1, Math.max(0, scale(each)))).toFixed(1);
  return svg("svg", { class: "interval-bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("line", { x1: place(low), x2: place(high), y1: 4, y2: 4, class: "range", "vector-effect": "non-scaling-stroke" }),
    svg("line", { x1: place(value), x2: place(value), y1: 0, y2: 8, class: "value", "vector-effect": "non-scaling-stroke" }));
}

/** From a number of a column to a share of its bar: linear for small numbers, logarithmic for large ones. */
export function columnScale(values) {
  const finite = values.filter((value) => Number.isFinite(value)).sort((a, b) => a - b);
  if (finite.length < 2) return () => 0.5;
  // One in twenty at either end may stick out: bars are there to compare the many.
  const low = finite[Math.floor(finite.length * 0.02)];
  const high = finite[Math.ceil(finite.length * 0.95) - 1];
  const size = Math.max(Math.abs(low), Math.abs(high)) / 20 || 1;
  const bend = (value) => Math.asinh(value / size);
  const span = bend(high) - bend(low) || 1;
  return (value) => (bend(value) - bend(low)) / span;
}

/** The scale of a number that stands alone: its interval with some room at either end. */
export function ownScale(value, [low, high]) {
  const room = (high - low) * 0.12 || Math.abs(value) * 0.1 || 1;
  return (each) => (each - low + room) / (high - low + 2 * room);
}
