// A directional surface that is rotated by hand, drawn with WebGL; names of axes and values lie on a second canvas.

import { pageColors } from "./colors.js";
import { VIEWS, aboutAxis, matrixOf, multiply, rotate } from "./rotation.js";

const VERTEX = `#version 300 es
in vec3 position; in vec3 normal; in vec3 color; in float sampled;
uniform mat3 rotation; uniform vec2 scale;
out vec3 vNormal; out vec3 vColor; out float vSampled;
void main() {
  vec3 seen = rotation * position;
  gl_Position = vec4(seen.xy * scale, -seen.z * 0.4, 1.0);
  vNormal = rotation * normal; vColor = color; vSampled = sampled;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec3 vNormal; in vec3 vColor; in float vSampled;
uniform float alpha; uniform float lit; uniform float spacing;
out vec4 result;
void main() {
  vec3 color = vColor;
  if (lit > 0.5) {
    vec3 normal = normalize(vNormal + vec3(0.0, 0.0, 1e-9));
    if (normal.z < 0.0) normal = -normal;
    float diffuse = max(0.0, dot(normal, normalize(vec3(-0.35, 0.55, 0.8))));
    float shine = pow(max(0.0, dot(normal, normalize(vec3(-0.2, 0.35, 1.0)))), 40.0);
    color = vColor * (0.5 + 0.55 * diffuse) + 0.16 * shine;
    // A thin line where the value passes a multiple of the step, of equal width on the screen.
    float place = vSampled / spacing;
    float width = fwidth(place);
    float near = abs(fract(place - 0.5) - 0.5);
    float line = (1.0 - smoothstep(0.0, width * 1.3, near)) * (1.0 - smoothstep(0.15, 0.45, width));
    color = mix(color, color * 0.55, line * 0.75);
  }
  result = vec4(color * alpha, alpha);
}`;

const ZOOM = 0.70; // of the half height for a radius of 1: leaves room for the names of the axes

/** Draws layers of triangles. Listener on the canvas: `rotated` after a rotation by hand. */
export class SurfaceView {
  #canvas; #overlay; #gl; #program; #layers = []; #lines = null; #marks = []; #spin = 0; #zoom = 1; #step = 1;
  quaternion = VIEWS.oblique;

  constructor(canvas, overlay) {
    this.#canvas = canvas;
    this.#overlay = overlay;
    this.#gl = canvas.getContext("webgl2", { antialias: true, alpha: true, preserveDrawingBuffer: true });
    if (!this.#gl) throw new Error("This browser offers no WebGL 2: the surface is shown as sections only.");
    this.#program = linkProgram(this.#gl, VERTEX, FRAGMENT);
    new ResizeObserver(() => this.draw()).observe(canvas);
    document.addEventListener("themechange", () => this.draw());
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * Shows other surfaces.
   *
   * meshes: [{mesh, alpha}], opaque ones first; step: distance of the contour lines in the value's unit;
   * marks: [{vector, text, kind}] names at the ends of vectors in units of the largest value, kind `axis` or `extreme`.
   */
  show(meshes, { step, marks }) {
    for (const layer of this.#layers) this.#free(layer);
    this.#layers = meshes.map(({ mesh, alpha }) => ({ ...this.#upload(mesh), alpha, mesh }));
    this.#marks = marks;
    this.#step = step;
    this.#uploadLines();
    this.draw();
  }

  setRotation(quaternion) {
    this.quaternion = quaternion;
    this.draw();
  }

  /** Starts or ends a slow rotation about the vertical. */
  spin(on) {
    cancelAnimationFrame(this.#spin);
    this.#spin = 0;
    if (!on) return;
    let before = performance.now();
    const frame = (now) => {
      const angle = Math.min(now - before, 100) * 0.0005;
      before = now;
      this.#rotateBy(aboutAxis([0, 1, 0], angle));
      this.#spin = requestAnimationFrame(frame);
    };
    this.#spin = requestAnimationFrame(frame);
  }

  /** The direction (crystal axes) and value under a pointer, or null beside the surface. */
  probe(event) {
    const box = this.#canvas.getBoundingClientRect();
    const size = this.#pixelScale(box.width, box.height);
    const at = [(event.clientX - box.left - box.width / 2) / size, (box.height / 2 - (event.clientY - box.top)) / size];
    const rows = matrixOf(this.quaternion);
    const reach = (7 / size) ** 2;
    let best = null;
    for (const { mesh } of this.#layers) {
      const { positions, samples } = mesh;
      for (let index = 0; index < samples.length; index += 1) {
        const vector = [positions[3 * index], positions[3 * index + 1], positions[3 * index + 2]];
        const [x, y, z] = rotate(rows, vector);
        if ((x - at[0]) ** 2 + (y - at[1]) ** 2 > reach || (best && z <= best.z)) continue;
        best = { z, value: samples[index], direction: vector.map((part) => part / (Math.hypot(...vector) || 1)) };
      }
    }
    return best;
  }

  /** What is seen as a PNG, twice as fine as the screen. */
  async picture() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const picture = new OffscreenCanvas(width * 2, height * 2);
    const context = picture.getContext("2d");
    this.draw(2);
    context.drawImage(this.#canvas, 0, 0, width * 2, height * 2);
    context.drawImage(this.#overlay, 0, 0, width * 2, height * 2);
    this.draw();
    return picture.convertToBlob({ type: "image/png" });
  }

  #pixelScale(width, height) {
    return (Math.min(width, height) / 2) * ZOOM * this.#zoom;
  }

  draw(ratio = devicePixelRatio || 1) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (!width || !height) return;
    const gl = this.#gl;
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    gl.viewport(0, 0, this.#canvas.width, this.#canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.useProgram(this.#program);
    const place = (name) => gl.getUniformLocation(this.#program, name);
    const size = this.#pixelScale(width, height);
    gl.uniformMatrix3fv(place("rotation"), true, matrixOf(this.quaternion).flat());
    gl.uniform2f(place("scale"), (2 * size) / width, (2 * size) / height);
    gl.uniform1f(place("spacing"), this.#step);
    gl.uniform1f(place("lit"), 0);
    gl.uniform1f(place("alpha"), 1);
    if (this.#lines) this.#drawLines(gl);
    gl.uniform1f(place("lit"), 1);
    for (const layer of this.#layers) {
      gl.uniform1f(place("alpha"), layer.alpha);
      gl.bindVertexArray(layer.array);
      if (layer.alpha < 1) {
        // The far side of a translucent surface is drawn before its near side.
        gl.depthMask(false);
        gl.enable(gl.CULL_FACE);
        for (const face of [gl.FRONT, gl.BACK]) {
          gl.cullFace(face);
          gl.drawElements(gl.TRIANGLES, layer.n, gl.UNSIGNED_INT, 0);
        }
        gl.disable(gl.CULL_FACE);
        gl.depthMask(true);
      } else gl.drawElements(gl.TRIANGLES, layer.n, gl.UNSIGNED_INT, 0);
    }
    gl.bindVertexArray(null);
    this.#drawMarks(width, height, ratio, size);
  }

  #drawLines(gl) {
    gl.bindVertexArray(this.#lines.array);
    gl.drawArrays(gl.LINES, 0, this.#lines.n);
  }

  #drawMarks(width, height, ratio, size) {
    const overlay = this.#overlay;
    overlay.width = Math.round(width * ratio);
    overlay.height = Math.round(height * ratio);
    const context = overlay.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const colors = pageColors();
    const rows = matrixOf(this.quaternion);
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const { vector, text, kind } of this.#marks) {
      const [x, y, z] = rotate(rows, vector);
      const [left, top] = [width / 2 + x * size, height / 2 - y * size];
      context.globalAlpha = z < -0.15 ? 0.45 : 1; // behind the surface
      context.font = kind === "axis" ? "600 14px system-ui, sans-serif" : "12px system-ui, sans-serif";
      context.lineWidth = 4;
      context.lineJoin = "round";
      context.strokeStyle = colors.surface;
      context.strokeText(text, left, top);
      context.fillStyle = kind === "axis" ? colors.text : colors.muted;
      context.fillText(text, left, top);
    }
    context.globalAlpha = 1;
  }

  #uploadLines() {
    if (this.#lines) this.#free(this.#lines);
    const [positions, colors] = [[], []];
    const tints = { axis: [0.5, 0.53, 0.57], lattice: [0.45, 0.55, 0.75], extreme: [0.85, 0.35, 0.1] };
    for (const { vector, kind } of this.#marks) {
      const tip = vector.map((part) => part * 0.94);
      const start = kind === "extreme" ? vector.map((part) => -part * 0.94) : [0, 0, 0];
      positions.push(...start, ...tip);
      colors.push(...tints[kind], ...tints[kind]);
    }
    const n = positions.length / 3;
    this.#lines = this.#upload({
      positions: new Float32Array(positions), colors: new Float32Array(colors),
      normals: new Float32Array(n * 3), samples: new Float32Array(n), indices: new Uint32Array(0),
    });
    this.#lines.n = n;
  }

  #upload(mesh) {
    const gl = this.#gl;
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    const buffers = [["position", mesh.positions, 3], ["normal", mesh.normals, 3], ["color", mesh.colors, 3], ["sampled", mesh.samples, 1]]
      .map(([name, values, size]) => {
        const buffer = gl.createBuffer();
        gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
        gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
        const place = gl.getAttribLocation(this.#program, name);
        gl.enableVertexAttribArray(place);
        gl.vertexAttribPointer(place, size, gl.FLOAT, false, 0, 0);
        return buffer;
      });
    const index = gl.createBuffer();
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, index);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, mesh.indices, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
    return { array, buffers: [...buffers, index], n: mesh.indices.length };
  }

  #free({ array, buffers }) {
    this.#gl.deleteVertexArray(array);
    for (const buffer of buffers) this.#gl.deleteBuffer(buffer);
  }

  #rotateBy(step) {
    this.quaternion = multiply(step, this.quaternion);
    this.draw();
    this.#canvas.dispatchEvent(new CustomEvent("rotated"));
  }

  #move(event) {
    if (!event.buttons) return;
    this.#rotateBy(multiply(aboutAxis([0, 1, 0], event.movementX * 0.008), aboutAxis([1, 0, 0], event.movementY * 0.008)));
  }

  #wheel(event) {
    if (document.activeElement !== this.#canvas && !event.ctrlKey) return; // the page scrolls until the surface is chosen
    event.preventDefault();
    this.#zoom = Math.min(6, Math.max(0.4, this.#zoom * Math.exp(-event.deltaY * 0.0012)));
    this.draw();
  }

  #key(event) {
    const steps = { ArrowLeft: [0, -1, 0], ArrowRight: [0, 1, 0], ArrowUp: [-1, 0, 0], ArrowDown: [1, 0, 0] };
    if (steps[event.key]) this.#rotateBy(aboutAxis(steps[event.key], 0.12));
    else if (event.key in VIEWS) this.#rotateTo(VIEWS[event.key]);
    else if (event.key === "Home") this.#rotateTo(VIEWS.oblique);
    else if (event.key === "+" || event.key === "-") {
      this.#zoom = Math.min(6, Math.max(0.4, this.#zoom * (event.key === "+" ? 1.15 : 1 / 1.15)));
      this.draw();
    } else return;
    event.preventDefault();
  }

  #rotateTo(quaternion) {
    this.setRotation(quaternion);
    this.#canvas.dispatchEvent(new CustomEvent("rotated"));
  }
}

function linkProgram(gl, vertexText, fragmentText) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertexText], [gl.FRAGMENT_SHADER, fragmentText]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  return program;
}
