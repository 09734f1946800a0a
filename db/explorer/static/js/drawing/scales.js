// Axes: a number to a place and back, with ticks at round numbers; logarithmic where asked and possible.

/** A scale from [low, high] to [0, 1]. */
export function makeScale(low, high, logarithmic = false) {
  if (logarithmic) {
    const [start, stop] = [Math.log10(low), Math.log10(high)];
    const span = stop - start || 1;
    return {
      logarithmic, low, high,
      place: (value) => (value > 0 ? (Math.log10(value) - start) / span : Number.NEGATIVE_INFINITY),
      value: (share) => 10 ** (start + share * span),
      ticks: () => logarithmicTicks(low, high),
    };
  }
  const span = high - low || 1;
  return {
    logarithmic, low, high,
    place: (value) => (value - low) / span,
    value: (share) => low + share * span,
    ticks: (about = 6) => linearTicks(low, high, about),
  };
}

/** Round numbers between two ends, about so many. */
export function linearTicks(low, high, about = 6) {
  // Ends that differ by rounding only have no steps between them: counting these would never end.
  if (!(high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high)))) return [low];
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? 10 * power;
  const ticks = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) {
    ticks.push(Number((index * step).toPrecision(12)));
  }
  return ticks;
}

function logarithmicTicks(low, high) {
  const decades = Math.log10(high / low);
  const factors = decades > 3 ? [1] : decades > 1 ? [1, 2, 5] : [1, 1.5, 2, 3, 5, 7];
  const ticks = [];
  for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.ceil(Math.log10(high)); exponent += 1) {
    for (const factor of factors) {
      const tick = Number((factor * 10 ** exponent).toPrecision(3));
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  }
  return ticks.length > 1 ? ticks : linearTicks(low, high, 4);
}

/** The ends of a column's numbers with a margin; gaps are left out, outliers beyond every other point stay. */
export function extent(values, logarithmic = false) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value === null || !Number.isFinite(value) || (logarithmic && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return logarithmic ? [1, 10] : [0, 1];
  if (logarithmic) {
    const margin = Math.max((high / low) ** 0.04, 1.03);
    return [low / margin, high * margin];
  }
  const margin = (high - low) * 0.04 || Math.abs(high) * 0.1 || 1;
  return [low >= 0 && low - margin < 0 ? Math.min(low, 0) : low - margin, high + margin];
}
