// A planar section of a directional surface: radius against angle, with rings at round values.

import { svg } from "../core/dom.js";
import { number } from "../core/format.js";
import { linearTicks } from "./scales.js";

const SIZE = 100; // radius of the largest value in user units

/**
 * One section.
 *
 * curves: [{values: [...], className}], each over equal angles from 0 to 2π (first not repeated);
 * largest: the value at the outer ring; axes: names of the directions at 0 and 90 degrees.
 */
export function polarNode({ curves, largest, axes, title }) {
  const rings = linearTicks(0, largest, 3).filter((value) => value > 0);
  const radius = (value) => (SIZE * Math.abs(value)) / (largest || 1);
  const path = (values, positive) => {
    const points = values.map((value, index) => {
      const angle = (2 * Math.PI * index) / values.length;
      const size = positive === value >= 0 ? radius(value) : 0;
      return `${(size * Math.cos(angle)).toFixed(2)} ${(-size * Math.sin(angle)).toFixed(2)}`;
    });
    return `M${points.join("L")}Z`;
  };
  const children = [
    svg("title", {}, title),
    svg("line", { x1: -108, x2: 108, y1: 0, y2: 0, class: "axis" }),
    svg("line", { x1: 0, x2: 0, y1: -108, y2: 108, class: "axis" }),
    rings.map((value) => svg("circle", { r: radius(value), class: "ring" })),
    curves.map(({ values, className = "" }) => [
      svg("path", { d: path(values, true), class: `section ${className}` }),
      values.some((value) => value < 0) ? svg("path", { d: path(values, false), class: `section negative ${className}` }) : null,
    ]),
    rings.map((value) => svg("text", { x: radius(value) * 0.72 + 2, y: -radius(value) * 0.72 - 2, class: "ring-label" }, number(value, 3))),
    svg("text", { x: 113, y: 4, class: "axis-label" }, axes[0]),
    svg("text", { x: -4, y: -113, class: "axis-label" }, axes[1]),
  ];
  return svg("svg", { viewBox: "-126 -130 252 252", class: "polar", role: "img", "aria-label": title }, children);
}
