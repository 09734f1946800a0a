// A histogram as SVG, drawn to the width of its box; bars inside the chosen range are coloured.

import { svg } from "../core/dom.js";

/** Bars of counts between edges; `range` holds the chosen low and high or nulls. */
export function histogramNode({ edges, counts }, range = { low: null, high: null }) {
  const highest = Math.max(1, ...counts);
  const width = 100 / counts.length;
  const bars = counts.map((n, index) => {
    const inside = (range.low === null || edges[index + 1] > range.low) && (range.high === null || edges[index] < range.high);
    // A square root keeps rare values visible beside frequent ones.
    const height = n ? Math.max(1.5, 40 * Math.sqrt(n / highest)) : 0;
    return svg("rect", { x: index * width, y: 40 - height, width: Math.max(0.1, width - 0.35), height, class: inside ? "bar" : "bar outside" });
  });
  return svg("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", class: "histogram", "aria-hidden": "true" }, bars);
}
