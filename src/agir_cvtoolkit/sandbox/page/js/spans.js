/**
 * Bit masks as spans: exact, small, and quick to paint on.
 *
 * A mask is an array with one entry per row of the picture: undefined for an empty row, else an Int32Array of pairs
 * (first column, column after the last), ascending, neither touching nor overlapping. Rows are never changed in
 * place, so a copy of the array is a copy of the mask, and undo costs nothing.
 *
 * @typedef {(Int32Array | undefined)[]} Mask
 */

/**
 * Reads CVAT's run lengths: row-major inside a box whose right and bottom are inclusive, background first.
 * @param {number[]} points runs, then left, top, right, bottom
 * @param {number} width of the picture @param {number} height
 * @returns {Mask | null} null where runs and box do not fit each other or the picture
 */
export function decode(points, width, height) {
  const count = points.length - 4;
  const [left, top, right, bottom] = points.slice(count);
  if (!(left >= 0 && top >= 0 && left <= right && top <= bottom && right < width && bottom < height)) return null;
  const columns = right - left + 1;
  /** @type {number[][]} */
  const rows = new Array(height);
  let place = 0;
  for (let index = 0; index < count; index += 1) {
    const run = points[index];
    if (!(run >= 0) || run % 1 !== 0) return null;
    for (let from = place, end = index % 2 ? place + run : place; from < end; ) {
      const row = Math.floor(from / columns);
      const upTo = Math.min(end, (row + 1) * columns);
      const spans = (rows[top + row] ??= []);
      const start = left + (from - row * columns);
      if (spans.length && spans[spans.length - 1] === start) spans[spans.length - 1] = left + (upTo - row * columns);
      else spans.push(start, left + (upTo - row * columns));
      from = upTo;
    }
    place += run;
    if (place > columns * (bottom - top + 1)) return null;
  }
  if (place !== columns * (bottom - top + 1)) return null;
  return Array.from(rows, (spans) => spans && Int32Array.from(spans));
}

/** @param {Mask} mask @returns {number[] | null} CVAT's run lengths in the tight box; null for an empty mask */
export function encode(mask) {
  const found = box(mask);
  if (!found) return null;
  const [left, top, right, bottom] = found;
  const columns = right - left + 1;
  const runs = [];
  let written = 0;
  let lastEnd = 0;
  for (let y = top; y <= bottom; y += 1) {
    const spans = mask[y];
    if (!spans) continue;
    const base = (y - top) * columns - left;
    for (let index = 0; index < spans.length; index += 2) {
      const start = base + spans[index];
      const end = base + spans[index + 1];
      if (start === lastEnd && written) runs[runs.length - 1] += end - start;
      else runs.push(start - lastEnd, end - start);
      lastEnd = end;
      written += 1;
    }
  }
  const rest = columns * (bottom - top + 1) - lastEnd;
  if (rest) runs.push(rest);
  return [...runs, left, top, right, bottom];
}

/** @param {Mask} mask @returns {[number, number, number, number] | null} left, top, right, bottom, inclusive */
export function box(mask) {
  let left = Infinity;
  let right = -1;
  let top = -1;
  let bottom = -1;
  for (let y = 0; y < mask.length; y += 1) {
    const spans = mask[y];
    if (!spans) continue;
    if (top < 0) top = y;
    bottom = y;
    left = Math.min(left, spans[0]);
    right = Math.max(right, spans[spans.length - 1] - 1);
  }
  return top < 0 ? null : [left, top, right, bottom];
}

/** @param {Mask} mask @param {number} x @param {number} y @returns {boolean} whether a pixel is in the mask */
export function holds(mask, x, y) {
  const spans = mask[Math.floor(y)];
  if (!spans) return false;
  const column = Math.floor(x);
  for (let index = 0; index < spans.length; index += 2) {
    if (column < spans[index]) return false;
    if (column < spans[index + 1]) return true;
  }
  return false;
}

/** @param {Mask} mask @returns {number} pixels */
export function area(mask) {
  let sum = 0;
  for (const spans of mask) if (spans) for (let i = 0; i < spans.length; i += 2) sum += spans[i + 1] - spans[i];
  return sum;
}

/**
 * Adds or takes away spans, row by row, in place.
 * @param {Mask} mask @param {Mask} other the spans @param {boolean} adds
 */
export function combine(mask, other, adds) {
  for (const key of Object.keys(other)) {
    const y = Number(key);
    const spans = other[y];
    if (!spans || y >= mask.length) continue;
    for (let index = 0; index < spans.length; index += 2) {
      mask[y] = adds ? joined(mask[y], spans[index], spans[index + 1]) : cut(mask[y], spans[index], spans[index + 1]);
    }
  }
}

/** @param {Int32Array | undefined} row @param {number} start @param {number} end @returns {Int32Array} */
function joined(row, start, end) {
  if (!row) return Int32Array.of(start, end);
  const found = [];
  let index = 0;
  for (; index < row.length && row[index + 1] < start; index += 2) found.push(row[index], row[index + 1]);
  let from = start;
  let upTo = end;
  for (; index < row.length && row[index] <= end; index += 2) {
    from = Math.min(from, row[index]);
    upTo = Math.max(upTo, row[index + 1]);
  }
  found.push(from, upTo);
  for (; index < row.length; index += 1) found.push(row[index]);
  return Int32Array.from(found);
}

/** @param {Int32Array | undefined} row @param {number} start @param {number} end @returns {Int32Array | undefined} */
function cut(row, start, end) {
  if (!row) return undefined;
  const found = [];
  for (let index = 0; index < row.length; index += 2) {
    const from = row[index];
    const upTo = row[index + 1];
    if (upTo <= start || from >= end) found.push(from, upTo);
    else {
      if (from < start) found.push(from, start);
      if (upTo > end) found.push(end, upTo);
    }
  }
  return found.length ? Int32Array.from(found) : undefined;
}

/**
 * The pixels that a round brush covers on its way: those whose centre is no farther than the radius from the line.
 * @param {number} ax @param {number} ay @param {number} bx @param {number} by @param {number} radius
 * @param {number} width @param {number} height
 * @returns {Mask}
 */
export function stroke(ax, ay, bx, by, radius, width, height) {
  /** @type {Mask} */
  const rows = [];
  const length = Math.hypot(bx - ax, by - ay);
  // The two long sides of the way, as the corners of a turned box.
  const sx = length ? (-(by - ay) / length) * radius : 0;
  const sy = length ? ((bx - ax) / length) * radius : 0;
  const corners = [ax + sx, ay + sy, bx + sx, by + sy, bx - sx, by - sy, ax - sx, ay - sy];
  const first = Math.max(0, Math.ceil(Math.min(ay, by) - radius - 0.5));
  const last = Math.min(height - 1, Math.floor(Math.max(ay, by) + radius - 0.5));
  for (let y = first; y <= last; y += 1) {
    const centre = y + 0.5;
    let from = Infinity;
    let upTo = -Infinity;
    for (const [x, discY] of [[ax, ay], [bx, by]]) {
      const reach = radius * radius - (centre - discY) ** 2;
      if (reach < 0) continue;
      from = Math.min(from, x - Math.sqrt(reach));
      upTo = Math.max(upTo, x + Math.sqrt(reach));
    }
    for (let i = 0; length && i < 8; i += 2) {
      const [px, py, qx, qy] = [corners[i], corners[i + 1], corners[(i + 2) % 8], corners[(i + 3) % 8]];
      if (py === qy || (centre - py) * (centre - qy) > 0) continue;
      const x = px + ((centre - py) / (qy - py)) * (qx - px);
      from = Math.min(from, x);
      upTo = Math.max(upTo, x);
    }
    const start = Math.max(0, Math.ceil(from - 0.5));
    const end = Math.min(width, Math.floor(upTo - 0.5) + 1);
    if (start < end) rows[y] = Int32Array.of(start, end);
  }
  return rows;
}

/**
 * The pixels whose centre lies inside an outline, by the even-odd rule.
 * @param {number[]} points x, y, x, y … @param {number} width @param {number} height
 * @returns {Mask}
 */
export function inside(points, width, height) {
  /** @type {number[][]} */
  const crossings = [];
  for (let i = 0; i < points.length; i += 2) {
    let [ax, ay] = [points[i], points[i + 1]];
    let [bx, by] = [points[(i + 2) % points.length], points[(i + 3) % points.length]];
    if (ay === by) continue;
    if (ay > by) [ax, ay, bx, by] = [bx, by, ax, ay];
    const last = Math.min(height - 1, Math.ceil(by - 0.5) - 1);
    for (let y = Math.max(0, Math.ceil(ay - 0.5)); y <= last; y += 1) {
      (crossings[y] ??= []).push(ax + ((y + 0.5 - ay) / (by - ay)) * (bx - ax));
    }
  }
  /** @type {Mask} */
  const rows = [];
  for (const key of Object.keys(crossings)) {
    const xs = crossings[Number(key)].sort((a, b) => a - b);
    /** @type {Int32Array | undefined} */
    let row;
    for (let i = 0; i + 1 < xs.length; i += 2) {
      const start = Math.max(0, Math.ceil(xs[i] - 0.5));
      const end = Math.min(width, Math.ceil(xs[i + 1] - 0.5));
      if (start < end) row = joined(row, start, end);
    }
    if (row) rows[Number(key)] = row;
  }
  return rows;
}
