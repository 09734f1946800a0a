// Lines over whole numbers such as rounds, with a band behind them, as SVG; the same shapes again as a key below.

import { extent, linearTicks, makeScale } from "./scales.js";
import { element, svg } from "../core/dom.js";
import { number } from "../core/format.js";

const [WIDTH, HEIGHT] = [520, 300];
const MARGIN = { left: 58, right: 14, top: 12, bottom: 42 };

/**
 * A chart with its key.
 *
 * x: whole numbers in order. lines: {name, values, kind}, a value of null leaves a gap; kind is a class of the style
 * sheet (first, second, third, fourth). band: {name, low, high} or null. range: ends of the axis, or null for those of
 * the values. label: what a screen reader says; xLabel, yLabel: of the axes; unit: behind a value that is pointed at.
 */
export function lineChart({ x, lines, band = null, range = null, label, xLabel, yLabel, unit = "" }) {
  const values = [...lines.flatMap((line) => line.values), ...(band ? [...band.low, ...band.high] : [])];
  const across = makeScale(x[0] - 0.3, x.at(-1) + 0.3);
  const up = makeScale(...(range ?? extent(values)));
  const px = (value) => MARGIN.left + across.place(value) * (WIDTH - MARGIN.left - MARGIN.right);
  const py = (value) => HEIGHT - MARGIN.bottom - up.place(value) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart lines", role: "img", "aria-label": label },
    axes({ x, up, px, py, xLabel, yLabel }),
    band ? stretches(band.low).map((places) => bandNode(places, band, x, px, py)) : null,
    lines.map((line) => lineNode(line, x, px, py, unit)));
  return element("figure", { class: "line-chart" }, chart, keyNode(lines, band));
}

function axes({ x, up, px, py, xLabel, yLabel }) {
  const [bottom, right] = [HEIGHT - MARGIN.bottom, WIDTH - MARGIN.right];
  const whole = linearTicks(x[0], x.at(-1), 10).filter(Number.isInteger);
  return [
    up.ticks(5).map((tick) => [svg("line", { x1: MARGIN.left, x2: right, y1: py(tick), y2: py(tick), class: "grid" }),
      svg("text", { x: MARGIN.left - 8, y: py(tick) + 4, "text-anchor": "end" }, number(tick, 3))]),
    whole.map((tick) => svg("text", { x: px(tick), y: bottom + 17, "text-anchor": "middle" }, String(tick))),
    svg("text", { x: (MARGIN.left + right) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, xLabel),
    svg("text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(13 ${(MARGIN.top + bottom) / 2}) rotate(-90)` }, yLabel),
  ];
}

/** Indices of values that are known, in unbroken rows. */
export function stretches(values) {
  const rows = [];
  values.forEach((value, index) => {
    if (value === null || value === undefined) return;
    if (rows.at(-1)?.at(-1) === index - 1) rows.at(-1).push(index);
    else rows.push([index]);
  });
  return rows;
}

function bandNode(places, { low, high }, x, px, py) {
  // A single round has a band too: a bar.
  const wide = places.length === 1 ? 6 : 0;
  const upper = places.flatMap((index) => (wide ? [[px(x[index]) - wide, py(high[index])], [px(x[index]) + wide, py(high[index])]] : [[px(x[index]), py(high[index])]]));
  const lower = places.toReversed().flatMap((index) => (wide ? [[px(x[index]) + wide, py(low[index])], [px(x[index]) - wide, py(low[index])]] : [[px(x[index]), py(low[index])]]));
  return svg("polygon", { points: pointsText([...upper, ...lower]), class: "band" });
}

function pointsText(points) {
  return points.map((point) => point.map((each) => each.toFixed(1)).join(",")).join(" ");
}

function lineNode({ name, values, kind }, x, px, py, unit) {
  return svg("g", { class: `series ${kind}` },
    stretches(values).map((places) => svg("polyline", { points: pointsText(places.map((index) => [px(x[index]), py(values[index])])) })),
    stretches(values).flat().map((index) => marker(kind, px(x[index]), py(values[index]), `${name}, ${x[index]}: ${number(values[index])}${unit ? ` ${unit}` : ""}`)));
}

/** Shapes beside colours: lines differ in grey too. */
function marker(kind, left, top, title) {
  const text = title ? svg("title", {}, title) : null;
  if (kind === "second") return svg("path", { d: `M${left} ${top - 5.5}l5 9h-10z` }, text);
  if (kind === "third") return svg("rect", { x: left - 4, y: top - 4, width: 8, height: 8 }, text);
  if (kind === "fourth") return svg("path", { d: `M${left} ${top - 5.5}l5.5 5.5l-5.5 5.5l-5.5 -5.5z` }, text);
  return svg("circle", { cx: left, cy: top, r: 4.2 }, text);
}

function keyNode(lines, band) {
  const sample = (...shapes) => svg("svg", { viewBox: "0 0 34 14", class: "chart lines sample", "aria-hidden": "true" }, shapes);
  return element("figcaption", {}, element("ul", { class: "line-keys" },
    lines.map(({ name, kind }) => element("li", {}, sample(svg("g", { class: `series ${kind}` }, svg("polyline", { points: "1,7 33,7" }), marker(kind, 17, 7))), name)),
    band ? element("li", {}, sample(svg("rect", { x: 1, y: 2, width: 32, height: 10, class: "band" })), band.name) : null));
}
