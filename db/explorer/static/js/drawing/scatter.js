// A scatter plot on a canvas: tens of thousands of points, zoom, hover, intervals of the point looked at, Pareto front.

import { colorScale, isDark, pageColors } from "./colors.js";
import { extent, makeScale } from "./scales.js";
import { number } from "../core/format.js";

const MARGIN = { left: 62, right: 16, top: 14, bottom: 46 };
const REACH = 14; // pixels from the pointer within which a point is looked at

/**
 * A plot in a canvas.
 *
 * Listeners on the canvas: `look` (a point is looked at; detail is its index or null), `choose` (clicked or Enter),
 * `zoomed` (the window changed; detail is {x: [low, high], y: [low, high]} or null).
 */
export class Scatter {
  #canvas;
  #data = { id: [], x: [], y: [], color: null, pareto: [] };
  #options = {};
  #window = null;
  #looked = null;
  #drag = null;

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas);
    document.addEventListener("themechange", () => this.draw());
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerleave", () => { if (!this.#drag) this.look(null); });
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("dblclick", () => this.zoom(null));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Shows other points: columns id, x, y, x_lo, x_hi, y_lo, y_hi, color and the indices of the Pareto front. */
  show(data, options) {
    this.#data = data;
    this.#options = options;
    this.#window = null;
    this.#looked = null;
    this.draw();
  }

  /** Limits the window, or shows all with null. */
  zoom(limits) {
    this.#window = limits;
    this.draw();
    this.#tell("zoomed", limits);
  }

  /** Looks at a point by its index, or at none. */
  look(index) {
    if (index === this.#looked) return;
    this.#looked = index;
    this.draw();
    this.#tell("look", index);
  }

  #tell(name, detail) {
    this.#canvas.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #scales() {
    const { logX, logY } = this.#options;
    const x = this.#window?.x ?? extent(this.#data.x, logX);
    const y = this.#window?.y ?? extent(this.#data.y, logY);
    return { x: makeScale(...x, logX && x[0] > 0), y: makeScale(...y, logY && y[0] > 0) };
  }

  #frame() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    return { width, height, inner: { x: MARGIN.left, y: MARGIN.top, w: width - MARGIN.left - MARGIN.right, h: height - MARGIN.top - MARGIN.bottom } };
  }

  #places() {
    const { inner } = this.#frame();
    const scales = this.#scales();
    return {
      scales, inner,
      px: (value) => inner.x + scales.x.place(value) * inner.w,
      py: (value) => inner.y + (1 - scales.y.place(value)) * inner.h,
    };
  }

  draw() {
    const { width, height } = this.#frame();
    if (!width || !height) return;
    const ratio = devicePixelRatio || 1;
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    const context = this.#canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const colors = pageColors();
    const places = this.#places();
    this.#drawAxes(context, places, colors);
    context.save();
    context.beginPath();
    context.rect(places.inner.x, places.inner.y, places.inner.w, places.inner.h);
    context.clip();
    this.#drawPoints(context, places, colors);
    this.#drawFront(context, places, colors);
    this.#drawLooked(context, places, colors);
    this.#drawSelection(context, colors);
    context.restore();
  }

  #drawAxes(context, { inner, scales, px, py }, colors) {
    context.font = "12px system-ui, sans-serif";
    context.lineWidth = 1;
    for (const tick of scales.x.ticks(Math.max(3, Math.round(inner.w / 90)))) {
      const x = Math.round(px(tick)) + 0.5;
      this.#line(context, x, inner.y, x, inner.y + inner.h, colors.line);
      context.fillStyle = colors.muted;
      context.textAlign = "center";
      context.fillText(number(tick, 3), x, inner.y + inner.h + 17);
    }
    for (const tick of scales.y.ticks(Math.max(3, Math.round(inner.h / 60)))) {
      const y = Math.round(py(tick)) + 0.5;
      this.#line(context, inner.x, y, inner.x + inner.w, y, colors.line);
      context.fillStyle = colors.muted;
      context.textAlign = "right";
      context.fillText(number(tick, 3), inner.x - 7, y + 4);
    }
    context.fillStyle = colors.text;
    context.font = "13px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText(this.#options.xLabel ?? "", inner.x + inner.w / 2, inner.y + inner.h + 38);
    context.save();
    context.translate(15, inner.y + inner.h / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(this.#options.yLabel ?? "", 0, 0);
    context.restore();
  }

  #line(context, x1, y1, x2, y2, color) {
    context.strokeStyle = color;
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }

  /** The colour scale of the points, or null where they are not coloured. */
  colorScale() {
    const { color } = this.#data;
    if (!color) return null;
    const values = color.filter((value) => value !== null).sort((a, b) => a - b);
    if (!values.length) return null;
    // Two per cent at either end take the colours of the ends: one outlier must not make all others alike.
    return colorScale(values[Math.floor(values.length * 0.02)], values[Math.ceil(values.length * 0.98) - 1], undefined, isDark() ? 0.22 : 0);
  }

  #drawPoints(context, { px, py }, colors) {
    const { x, y, color } = this.#data;
    const scale = this.colorScale();
    const radius = x.length > 3000 ? 2 : x.length > 800 ? 2.8 : 3.6;
    context.globalAlpha = x.length > 3000 ? 0.55 : 0.75;
    context.fillStyle = colors.point;
    for (let index = 0; index < x.length; index += 1) {
      if (x[index] === null || y[index] === null) continue;
      if (scale) context.fillStyle = color[index] === null ? colors.muted : scale.css(color[index]);
      context.beginPath();
      context.arc(px(x[index]), py(y[index]), radius, 0, 7);
      context.fill();
    }
    context.globalAlpha = 1;
  }

  #drawFront(context, { px, py }, colors) {
    const { x, y, pareto } = this.#data;
    if (!pareto?.length) return;
    const front = [...pareto].sort((a, b) => x[a] - x[b]);
    context.strokeStyle = colors.front;
    context.lineWidth = 1.6;
    context.beginPath();
    const [senseX] = this.#options.senses ?? ["max"];
    // A step, not a slope: between two points of the front nothing better is known.
    front.forEach((index, step) => {
      const [left, top] = [px(x[index]), py(y[index])];
      if (step === 0) context.moveTo(left, top);
      else {
        const before = front[step - 1];
        if (senseX === "max") context.lineTo(px(x[before]), py(y[index]));
        else context.lineTo(left, py(y[before]));
        context.lineTo(left, top);
      }
    });
    context.stroke();
    for (const index of front) {
      context.beginPath();
      context.arc(px(x[index]), py(y[index]), 5, 0, 7);
      context.stroke();
    }
  }

  #drawLooked(context, { px, py }, colors) {
    const index = this.#looked;
    if (index === null || this.#data.x[index] === undefined) return;
    const { x, y, x_lo: xLow, x_hi: xHigh, y_lo: yLow, y_hi: yHigh } = this.#data;
    const [left, top] = [px(x[index]), py(y[index])];
    context.lineWidth = 1.5;
    if (xLow?.[index] !== null && xLow?.[index] !== undefined) this.#bar(context, px, xLow[index], xHigh[index], top, colors.text, true);
    if (yLow?.[index] !== null && yLow?.[index] !== undefined) this.#bar(context, py, yLow[index], yHigh[index], left, colors.text, false);
    context.fillStyle = colors.accent;
    context.strokeStyle = colors.surface;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(left, top, 6.5, 0, 7);
    context.fill();
    context.stroke();
  }

  #bar(context, place, low, high, across, color, horizontal) {
    const frame = this.#frame().inner;
    // The lower end of an interval may be 0 or below, where a logarithmic axis has no place.
    const clamp = (value) => Math.min(4000, Math.max(-4000, Number.isFinite(place(value)) ? place(value) : horizontal ? frame.x : frame.y + frame.h));
    const [start, stop] = [clamp(low), clamp(high)];
    if (horizontal) {
      this.#line(context, start, across, stop, across, color);
      for (const end of [start, stop]) this.#line(context, end, across - 4, end, across + 4, color);
    } else {
      this.#line(context, across, start, across, stop, color);
      for (const end of [start, stop]) this.#line(context, across - 4, end, across + 4, end, color);
    }
  }

  #drawSelection(context, colors) {
    if (!this.#drag?.moved) return;
    const { from, to } = this.#drag;
    context.strokeStyle = colors.accent;
    context.setLineDash([4, 3]);
    context.strokeRect(from.x, from.y, to.x - from.x, to.y - from.y);
    context.setLineDash([]);
  }

  #pointer(event) {
    const box = this.#canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #nearest(at) {
    const { px, py } = this.#places();
    let [best, distance] = [null, REACH ** 2];
    for (let index = 0; index < this.#data.x.length; index += 1) {
      if (this.#data.x[index] === null || this.#data.y[index] === null) continue;
      const away = (px(this.#data.x[index]) - at.x) ** 2 + (py(this.#data.y[index]) - at.y) ** 2;
      if (away < distance) [best, distance] = [index, away];
    }
    return best;
  }

  #move(event) {
    const at = this.#pointer(event);
    if (this.#drag) {
      this.#drag.to = at;
      this.#drag.moved ||= Math.hypot(at.x - this.#drag.from.x, at.y - this.#drag.from.y) > 6;
      this.draw();
    } else {
      const index = this.#nearest(at);
      this.#canvas.style.cursor = index === null ? "crosshair" : "pointer";
      this.look(index);
    }
  }

  #press(event) {
    this.#canvas.setPointerCapture(event.pointerId);
    this.#drag = { from: this.#pointer(event), to: this.#pointer(event), moved: false };
  }

  #release(event) {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag) return;
    if (!drag.moved) {
      const index = this.#nearest(this.#pointer(event));
      this.look(index);
      if (index !== null) this.#tell("choose", index);
      return;
    }
    const { scales, inner } = this.#places();
    const span = (scale, start, stop) => [start, stop].map((share) => scale.value(Math.min(1, Math.max(0, share)))).sort((a, b) => a - b);
    const x = span(scales.x, (drag.from.x - inner.x) / inner.w, (drag.to.x - inner.x) / inner.w);
    const y = span(scales.y, 1 - (drag.from.y - inner.y) / inner.h, 1 - (drag.to.y - inner.y) / inner.h);
    this.zoom({ x, y });
  }

  /** Arrow keys walk through the Pareto front, or through all points from left to right where there is none. */
  #key(event) {
    const { x, y, pareto } = this.#data;
    const all = pareto?.length ? [...pareto] : [...x.keys()].filter((index) => x[index] !== null && y[index] !== null);
    const order = all.sort((a, b) => x[a] - x[b]);
    const at = order.indexOf(this.#looked);
    if (event.key === "ArrowRight") this.look(order[Math.min(order.length - 1, at + 1)] ?? null);
    else if (event.key === "ArrowLeft") this.look(order[Math.max(0, at - 1)] ?? null);
    else if (event.key === "Enter" && this.#looked !== null) this.#tell("choose", this.#looked);
    else if (event.key === "Escape") this.zoom(null);
    else return;
    event.preventDefault();
  }
}
