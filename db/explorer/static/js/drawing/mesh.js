// A directional surface as triangles: the point in each direction stands as far from the centre as the value is large.

import { colorScale } from "./colors.js";

/**
 * Triangles of a surface.
 *
 * grid: {theta, phi, values} with theta from 0 to π and phi from 0 to 2π in radians, values [theta][phi];
 * largest: the value whose radius is 1; scale: colours.
 */
export function surfaceMesh({ theta, phi, values }, largest, scale = colorScale(0, largest)) {
  const closed = Math.abs(phi[phi.length - 1] - phi[0] - 2 * Math.PI) < 1e-6;
  const columns = closed ? phi.length : phi.length + 1; // the seam is stored twice
  const rows = theta.length;
  const positions = new Float32Array(rows * columns * 3);
  const colors = new Float32Array(rows * columns * 3);
  const samples = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const at = row * columns + column;
      const wrapped = column % phi.length;
      const value = values[row][wrapped] ?? 0;
      const radius = Math.abs(value) / (largest || 1);
      const [sine, cosine] = [Math.sin(theta[row]), Math.cos(theta[row])];
      positions.set([radius * sine * Math.cos(phi[wrapped]), radius * sine * Math.sin(phi[wrapped]), radius * cosine], at * 3);
      colors.set(scale.rgb(value).map((channel) => channel / 255), at * 3);
      samples[at] = value;
    }
  }
  const indices = gridTriangles(rows, columns);
  return { positions, colors, samples, indices, normals: vertexNormals(positions, indices, rows, columns) };
}

function gridTriangles(rows, columns) {
  const indices = new Uint32Array((rows - 1) * (columns - 1) * 6);
  let next = 0;
  for (let row = 0; row + 1 < rows; row += 1) {
    for (let column = 0; column + 1 < columns; column += 1) {
      const [a, b] = [row * columns + column, (row + 1) * columns + column];
      indices.set([a, b, a + 1, a + 1, b, b + 1], next);
      next += 6;
    }
  }
  return indices;
}

function vertexNormals(positions, indices, rows, columns) {
  const normals = new Float32Array(positions.length);
  const corner = (index) => positions.subarray(index * 3, index * 3 + 3);
  for (let next = 0; next < indices.length; next += 3) {
    const [a, b, c] = [corner(indices[next]), corner(indices[next + 1]), corner(indices[next + 2])];
    const [u, v] = [[b[0] - a[0], b[1] - a[1], b[2] - a[2]], [c[0] - a[0], c[1] - a[1], c[2] - a[2]]];
    const normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    for (let each = next; each < next + 3; each += 1) {
      for (let axis = 0; axis < 3; axis += 1) normals[indices[each] * 3 + axis] += normal[axis];
    }
  }
  // The seam and the poles are single places stored several times: their normals are sums over all copies.
  const share = (places) => {
    const sum = [0, 0, 0];
    for (const place of places) for (let axis = 0; axis < 3; axis += 1) sum[axis] += normals[place * 3 + axis];
    for (const place of places) normals.set(sum, place * 3);
  };
  for (let row = 0; row < rows; row += 1) share([row * columns, (row + 1) * columns - 1]);
  for (const row of [0, rows - 1]) share(Array.from({ length: columns }, (_, column) => row * columns + column));
  return normals;
}

/** The value in a direction (unit vector), interpolated on the grid. */
export function valueAlong({ theta, phi, values }, [x, y, z]) {
  const polar = Math.acos(Math.max(-1, Math.min(1, z)));
  const azimuth = (Math.atan2(y, x) + 2 * Math.PI) % (2 * Math.PI);
  const rowPlace = (polar / Math.PI) * (theta.length - 1);
  const closed = Math.abs(phi[phi.length - 1] - phi[0] - 2 * Math.PI) < 1e-6;
  const n = closed ? phi.length - 1 : phi.length;
  const columnPlace = (azimuth / (2 * Math.PI)) * n;
  const row = Math.min(Math.floor(rowPlace), theta.length - 2);
  const column = Math.floor(columnPlace) % n;
  const [down, across] = [rowPlace - row, columnPlace - Math.floor(columnPlace)];
  const at = (r, c) => values[r][c % n];
  return (1 - down) * ((1 - across) * at(row, column) + across * at(row, column + 1))
    + down * ((1 - across) * at(row + 1, column) + across * at(row + 1, column + 1));
}

/** Values over equal angles in the plane of two unit vectors. */
export function planeSection(grid, first, second, n = 240) {
  return Array.from({ length: n }, (_, index) => {
    const angle = (2 * Math.PI * index) / n;
    const direction = first.map((part, axis) => part * Math.cos(angle) + second[axis] * Math.sin(angle));
    return valueAlong(grid, direction);
  });
}
