// Colour scales that stay readable for colour-blind readers and in grey: viridis, and blue–white–red for signed values.

const VIRIDIS = [
  [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99],
  [170, 220, 50], [253, 231, 37],
];
const SIGNED = [[33, 102, 172], [103, 169, 207], [209, 229, 240], [247, 247, 247], [253, 219, 199], [239, 138, 98], [178, 24, 43]];

/** Colour of a share between 0 and 1, as red, green, blue of 255. */
export function colorAt(share, scale = VIRIDIS) {
  const place = Math.min(1, Math.max(0, share)) * (scale.length - 1);
  const below = Math.min(Math.floor(place), scale.length - 2);
  const part = place - below;
  return scale[below].map((value, channel) => Math.round(value + part * (scale[below + 1][channel] - value)));
}

/** The scale of values: viridis from the lowest to the highest, or blue to red about zero where both signs occur.
 *
 * first: share of viridis at which the lowest value stands; small points on a dark page need more than its dark end.
 */
export function colorScale(low, high, signed = low < 0, first = 0) {
  const size = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const start = signed ? -size : low;
  const stop = signed ? size : high;
  const scale = signed ? SIGNED : VIRIDIS;
  const span = stop - start || 1;
  const skipped = signed ? 0 : first;
  const rgb = (value) => colorAt(skipped + (1 - skipped) * Math.max(0, (value - start) / span), scale);
  return { low: start, high: stop, rgb, css: (value) => `rgb(${rgb(value).join(" ")})` };
}

/** Colours of the page's own style sheet, as they are now. */
export function pageColors() {
  // A custom property comes back unresolved (light-dark(...)); a real colour of a real element does not.
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const read = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const names = ["text", "muted", "line", "surface", "accent", "front", "point"];
  const colors = Object.fromEntries(names.map((name) => [name, read(`--${name}`)]));
  probe.remove();
  return colors;
}

/** True where the page is dark now. */
export function isDark() {
  const [red, green, blue] = pageColors().surface.match(/[\d.]+/g).map(Number);
  return red + green + blue < 300;
}

/** Draws a bar of the scale into a canvas, low at the left. */
export function drawColorBar(canvas, scale) {
  const context = canvas.getContext("2d");
  canvas.width = 256;
  canvas.height = 1;
  for (let x = 0; x < 256; x += 1) {
    context.fillStyle = scale.css(scale.low + ((scale.high - scale.low) * x) / 255);
    context.fillRect(x, 0, 1, 1);
  }
}
