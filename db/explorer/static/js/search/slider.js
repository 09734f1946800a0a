// A slider with two thumbs on equal steps; each thumb is a slider of its own to the keyboard and to screen readers.

import { element } from "../core/dom.js";

/**
 * Two thumbs between 0 and `last`.
 *
 * onmove is called while a thumb moves, onchoose when it is let go; textOf says a place in words.
 */
export class TwoThumbs {
  #places; #last; #thumbs; #textOf = String;

  constructor(label, last, { onmove, onchoose }) {
    this.#last = last;
    this.#places = [0, last];
    this.onmove = onmove;
    this.onchoose = onchoose;
    this.#thumbs = ["lowest", "highest"].map((end, index) => element("div", {
      class: "thumb", role: "slider", tabindex: "0", "aria-label": `${label}, ${end}`, "aria-valuemin": "0",
      onpointerdown: (event) => this.#grip(event), onpointermove: (event) => this.#drag(event, index),
      onpointerup: () => this.onchoose(), onkeydown: (event) => this.#key(event, index),
    }));
    this.node = element("div", { class: "slider" }, element("div", { class: "track" }), this.#thumbs);
  }

  get places() {
    return [...this.#places];
  }

  /** Sets the thumbs without calling anybody. */
  set(low, high, last, textOf) {
    this.#places = [low, high];
    this.#last = last;
    this.#textOf = textOf;
    this.#draw();
  }

  #draw() {
    this.#thumbs.forEach((thumb, index) => {
      thumb.style.left = `${(100 * this.#places[index]) / this.#last}%`;
      thumb.setAttribute("aria-valuemax", String(this.#last));
      thumb.setAttribute("aria-valuenow", String(this.#places[index]));
      thumb.setAttribute("aria-valuetext", this.#textOf(this.#places[index]));
    });
  }

  #move(index, place) {
    const other = this.#places[1 - index];
    const inside = Math.min(this.#last, Math.max(0, place));
    // Thumbs do not pass each other: one bin always stays between them.
    const next = index === 0 ? Math.min(inside, other - 1) : Math.max(inside, other + 1);
    if (next === this.#places[index]) return;
    this.#places[index] = next;
    this.#draw();
    this.onmove();
  }

  #grip(event) {
    event.target.setPointerCapture(event.pointerId);
    event.target.focus();
    event.preventDefault();
  }

  #drag(event, index) {
    if (!event.buttons) return;
    const box = this.node.getBoundingClientRect();
    this.#move(index, Math.round(((event.clientX - box.left) / box.width) * this.#last));
  }

  #key(event, index) {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -5, PageUp: 5, Home: -this.#last, End: this.#last };
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.#move(index, this.#places[index] + steps[event.key]);
    this.onchoose();
  }
}
