// Unit quaternions [x, y, z, w] as 3Dmol writes them: they take crystal axes to the screen (x right, y up, z to the eye).

/** The rotation by an angle about a unit axis. */
export function aboutAxis(axis, angle) {
  const sine = Math.sin(angle / 2);
  return [axis[0] * sine, axis[1] * sine, axis[2] * sine, Math.cos(angle / 2)];
}

/** First b, then a. */
export function multiply(a, b) {
  const [ax, ay, az, aw] = a;
  const [bx, by, bz, bw] = b;
  return normalize([
    aw * bx + ax * bw + ay * bz - az * by,
    aw * by - ax * bz + ay * bw + az * bx,
    aw * bz + ax * by - ay * bx + az * bw,
    aw * bw - ax * bx - ay * by - az * bz,
  ]);
}

/** The same rotation with length 1: rounding errors of many small steps add up. */
export function normalize(quaternion) {
  const length = Math.hypot(...quaternion) || 1;
  return quaternion.map((part) => part / length);
}

/** Rows of the rotation matrix. */
export function matrixOf([x, y, z, w]) {
  return [
    [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
    [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
    [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
  ];
}

/** A vector after the rotation. */
export function rotate(matrix, vector) {
  return matrix.map((row) => row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2]);
}

const ABOUT_X = (angle) => aboutAxis([1, 0, 0], angle);
const ABOUT_Z = (angle) => aboutAxis([0, 0, 1], angle);

/** Views by name: z upwards and a little from above, or along an axis towards the eye. */
export const VIEWS = {
  oblique: multiply(ABOUT_X(-Math.PI / 2 + 0.42), ABOUT_Z(-Math.PI / 2 - 0.6)),
  x: multiply(ABOUT_X(-Math.PI / 2), ABOUT_Z(-Math.PI / 2)),
  y: multiply(ABOUT_X(-Math.PI / 2), ABOUT_Z(Math.PI)),
  z: [0, 0, 0, 1],
};
