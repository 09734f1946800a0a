// A crystal in three dimensions: 3Dmol draws, this file decides which atoms, bonds and edges it is given.

import { ROOT } from "../core/api.js";
import { element } from "../core/dom.js";
import { pageColors } from "../drawing/colors.js";
import { VIEWS } from "../drawing/rotation.js";
import { SYMBOLS, covalentRadius } from "./atoms.js";

const MAX_DRAWN = 1200; // atoms, images included
const ON_FACE = 0.02; // fractional distance at which an atom on a face is drawn on the opposite one too

let library;

/** 3Dmol, fetched from this server when the first structure is shown. */
function load3Dmol() {
  library ??= new Promise((resolve, reject) => {
    const script = element("script", { src: `${ROOT}/static/vendor/3dmol/3Dmol-min.js` });
    script.onload = () => resolve(globalThis.$3Dmol);
    script.onerror = () => reject(new Error("The structure viewer could not be loaded."));
    document.head.append(script);
  });
  return library;
}

/** Cartesian positions of the cell's atoms, those on faces with their images; repeats cells along a, b, c. */
export function cellAtoms({ lattice, numbers, frac_coords: coordinates }, repeats = [1, 1, 1]) {
  const atoms = [];
  const images = (place, n) => {
    const inside = ((place % 1) + 1) % 1;
    const start = inside > 1 - ON_FACE ? inside - 1 : inside;
    return Array.from({ length: n + 1 }, (_, cell) => start + cell).filter((each) => each <= n + ON_FACE);
  };
  numbers.forEach((number, atom) => {
    const [xs, ys, zs] = coordinates[atom].map((place, axis) => images(place, repeats[axis]));
    for (const x of xs) for (const y of ys) for (const z of zs) {
      const position = [0, 1, 2].map((axis) => x * lattice[0][axis] + y * lattice[1][axis] + z * lattice[2][axis]);
      atoms.push({ number, position, atom });
    }
  });
  return atoms;
}

/** Pairs of atoms that are closer than the sum of their covalent radii, with some room. */
export function bondsOf(atoms) {
  const bonds = [];
  for (let first = 0; first < atoms.length; first += 1) {
    for (let second = first + 1; second < atoms.length; second += 1) {
      const reach = (covalentRadius(atoms[first].number) + covalentRadius(atoms[second].number)) * 1.15;
      const [p, q] = [atoms[first].position, atoms[second].position];
      const distance = Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]);
      if (distance > 0.4 && distance < reach) bonds.push([first, second]);
    }
  }
  return bonds;
}

/** A viewer in a box. Listener on the box: `rotated` after a rotation by hand. */
export class StructureView {
  #viewer; #box; #facts = null; #quiet = false;

  static async create(box) {
    const $3Dmol = await load3Dmol();
    box.replaceChildren();
    const viewer = $3Dmol.createViewer(box, { backgroundAlpha: 0, antialias: true, orthographic: true, disableFog: true });
    if (!viewer) throw new Error("This browser offers no WebGL: the structure cannot be drawn.");
    return new StructureView(box, viewer);
  }

  constructor(box, viewer) {
    this.#box = box;
    this.#viewer = viewer;
    viewer.setViewChangeCallback(() => { if (!this.#quiet) box.dispatchEvent(new CustomEvent("rotated")); });
    new ResizeObserver(() => viewer.resize()).observe(box);
    document.addEventListener("themechange", () => { if (this.#facts) this.show(this.#facts, this.repeats, { keep: true }); });
    // The wheel scrolls the page until the structure is chosen by a click.
    box.addEventListener("wheel", (event) => { if (!box.contains(document.activeElement) && !event.ctrlKey) event.stopPropagation(); }, { capture: true });
  }

  /** The rotation from crystal axes to the screen. */
  get quaternion() {
    return this.#viewer.getView().slice(4, 8);
  }

  set quaternion(quaternion) {
    const view = this.#viewer.getView();
    this.#quiet = true;
    this.#viewer.setView([...view.slice(0, 4), ...quaternion]);
    this.#quiet = false;
  }

  /** Shows a crystal; `keep` leaves view and zoom as they are. */
  show(facts, repeats = [1, 1, 1], { keep = false } = {}) {
    const viewer = this.#viewer;
    const view = keep ? viewer.getView() : null;
    const drawn = facts.numbers.length * repeats[0] * repeats[1] * repeats[2] > MAX_DRAWN ? [1, 1, 1] : repeats;
    this.#facts = facts;
    this.repeats = drawn;
    viewer.clear();
    const atoms = cellAtoms(facts, drawn);
    const model = viewer.addModel();
    model.addAtoms(this.#described(atoms));
    viewer.setStyle({}, { sphere: { scale: 0.28, colorscheme: "Jmol" }, stick: { radius: 0.11, colorscheme: "Jmol" } });
    this.#drawCell(facts.lattice);
    viewer.zoomTo();
    if (view) viewer.setView(view);
    else {
      this.quaternion = VIEWS.oblique;
      this.#fit(atoms);
    }
    viewer.render();
    const species = [...new Set(atoms.map(({ number }) => SYMBOLS[number - 1]))];
    this.#box.setAttribute("aria-label", `Structure of ${facts.formula}: ${facts.n_atoms} atoms per cell of ${species.join(", ")}`);
  }

  /** Zooms until the cell fills the box: 3Dmol's own fit leaves room for every rotation and looks at the height only. */
  #fit(atoms) {
    const viewer = this.#viewer;
    const places = atoms.map(({ position: [x, y, z] }) => viewer.modelToScreen({ x, y, z }));
    const span = (axis) => Math.max(...places.map((place) => place[axis])) - Math.min(...places.map((place) => place[axis]));
    const { clientWidth: width, clientHeight: height } = this.#box;
    const factor = Math.min((0.72 * width) / (span("x") || 1), (0.72 * height) / (span("y") || 1));
    if (Number.isFinite(factor) && width && atoms.length > 1) viewer.zoom(Math.min(3, Math.max(0.3, factor)));
  }

  #described(atoms) {
    const described = atoms.map(({ number, position }, serial) => ({
      serial, elem: SYMBOLS[number - 1], x: position[0], y: position[1], z: position[2], bonds: [], bondOrder: [],
    }));
    if (atoms.length > MAX_DRAWN) return described;
    for (const [first, second] of bondsOf(atoms)) {
      described[first].bonds.push(second);
      described[first].bondOrder.push(1);
      described[second].bonds.push(first);
      described[second].bondOrder.push(1);
    }
    return described;
  }

  #drawCell(lattice) {
    const colors = pageColors();
    const point = (shares) => {
      const [x, y, z] = [0, 1, 2].map((axis) => shares[0] * lattice[0][axis] + shares[1] * lattice[1][axis] + shares[2] * lattice[2][axis]);
      return { x, y, z };
    };
    for (let corner = 0; corner < 8; corner += 1) {
      const shares = [corner & 1, (corner >> 1) & 1, (corner >> 2) & 1];
      for (let axis = 0; axis < 3; axis += 1) {
        if (shares[axis]) continue;
        const end = shares.map((share, each) => (each === axis ? 1 : share));
        this.#viewer.addCylinder({ start: point(shares), end: point(end), radius: 0.025, fromCap: 2, toCap: 2, color: hexOf(colors.muted) });
      }
    }
    ["a", "b", "c"].forEach((text, axis) => {
      const tip = [0, 0, 0];
      tip[axis] = 1 + 0.9 / Math.hypot(...lattice[axis]);
      this.#viewer.addLabel(text, { position: point(tip), fontColor: hexOf(colors.text), fontSize: 16, fontOpacity: 1, showBackground: false, inFront: true, alignment: "center" });
    });
  }

  /** Elements with the colours in which their atoms are drawn. */
  legend() {
    const colors = globalThis.$3Dmol.elementColors.Jmol;
    const numbers = [...new Set(this.#facts.numbers)].sort((a, b) => a - b);
    return numbers.map((number) => {
      const symbol = SYMBOLS[number - 1];
      return { symbol, color: `#${(colors[symbol] ?? 0xff1493).toString(16).padStart(6, "0")}` };
    });
  }
}

/** A colour of the style sheet as 3Dmol reads it. */
function hexOf(color) {
  const parts = color.match(/[\d.]+/g).slice(0, 3).map(Number);
  return `#${parts.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;
}
