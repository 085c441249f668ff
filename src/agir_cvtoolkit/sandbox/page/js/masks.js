/**
 * Draws the masks of a picture as far as they are in sight: for each point of the screen the topmost mask, then its
 * colour, its pattern and its outline. A stroke redraws only the part of the screen that it touches.
 */

import { box, decode, holds } from "./spans.js";

const Konva = /** @type {any} */ (globalThis).Konva;
const MOST_POINTS = 3e6;

/** @typedef {{key: string, mask: import("./spans.js").Mask, box: number[], color: string, pattern: number}} Drawn */

export class MaskLayer {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.view = view;
    this.canvas = document.createElement("canvas");
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    this.node = new Konva.Image({ image: this.canvas });
    view.maskLayer.add(this.node);
    /** @type {Drawn[]} */
    this.masks = [];
    /** @type {string | null} */
    this.selected = null;
    this.opacity = 0.35;
    this.owners = new Uint16Array(0);
    /** @type {WeakMap<object, import("./spans.js").Mask | null>} */
    this.decoded = new WeakMap();
    this.pending = 0;
    view.listeners.push(() => this.redraw());
  }

  /** @param {any} shape of type mask @returns {import("./spans.js").Mask | null} null for one that is broken */
  maskOf(shape) {
    const { width, height } = /** @type {any} */ (this.view.picture);
    let found = this.decoded.get(shape);
    if (found === undefined) this.decoded.set(shape, (found = decode(shape.points, width, height)));
    return found;
  }

  /** @param {Drawn[]} masks bottom first @param {string | null} selected */
  show(masks, selected) {
    this.masks = masks;
    this.selected = selected;
    this.redraw();
  }

  /** @param {number} x @param {number} y @returns {string[]} the masks there, topmost first */
  hits(x, y) {
    return this.masks.filter(({ mask }) => holds(mask, x, y)).map(({ key }) => key).reverse();
  }

  /** Draws everything at the next frame. */
  redraw() {
    if (!this.pending) this.pending = requestAnimationFrame(() => this.drawAll());
  }

  drawAll() {
    cancelAnimationFrame(this.pending);
    this.pending = 0;
    const { width, height } = this.view;
    const ratio = Math.min(window.devicePixelRatio || 1, Math.sqrt(MOST_POINTS / Math.max(1, width * height)));
    const [columns, rows] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
    if (this.canvas.width !== columns || this.canvas.height !== rows) {
      this.canvas.width = columns;
      this.canvas.height = rows;
      this.owners = new Uint16Array(columns * rows);
      this.image = this.context.createImageData(columns, rows);
      this.colors = new Uint32Array(this.image.data.buffer);
    }
    this.node.size({ width, height });
    this.paint(0, 0, columns, rows);
    this.view.maskLayer.batchDraw();
  }

  /** Draws a part of the picture anew, at once. @param {number[]} part left, top, right, bottom */
  touch([left, top, right, bottom]) {
    if (this.pending) return;
    const { x, y, scale, width } = this.view;
    const ratio = this.canvas.width / width;
    const from = [Math.floor((x + left * scale) * ratio) - 2, Math.floor((y + top * scale) * ratio) - 2];
    const upTo = [Math.ceil((x + right * scale) * ratio) + 2, Math.ceil((y + bottom * scale) * ratio) + 2];
    this.paint(Math.max(0, from[0]), Math.max(0, from[1]), Math.min(this.canvas.width, upTo[0]), Math.min(this.canvas.height, upTo[1]));
    this.view.maskLayer.batchDraw();
  }

  /** @param {number} left on the canvas @param {number} top @param {number} right exclusive @param {number} bottom exclusive */
  paint(left, top, right, bottom) {
    if (left >= right || top >= bottom) return;
    const { owners, canvas: { width } } = this;
    for (let row = top; row < bottom; row += 1) owners.fill(0, row * width + left, row * width + right);
    this.masks.forEach((drawn, index) => this.own(drawn, index + 1, left, top, right, bottom));
    this.colour(left, top, right, bottom);
    this.context.putImageData(/** @type {ImageData} */ (this.image), 0, 0, left, top, right - left, bottom - top);
  }

  /** @param {Drawn} drawn @param {number} owner @param {number} left @param {number} top @param {number} right @param {number} bottom */
  own({ mask, box: [, first, , last] }, owner, left, top, right, bottom) {
    const ratio = this.canvas.width / this.view.width;
    const scale = this.view.scale * ratio;
    const [x, y, width] = [this.view.x * ratio, this.view.y * ratio, this.canvas.width];
    const from = Math.max(top, Math.floor(y + first * scale) - 1);
    const upTo = Math.min(bottom, Math.ceil(y + (last + 1) * scale) + 1);
    for (let row = from; row < upTo; row += 1) {
      const spans = mask[Math.floor((row + 0.5 - y) / scale)];
      if (!spans) continue;
      for (let index = 0; index < spans.length; index += 2) {
        const start = Math.max(left, Math.ceil(x + spans[index] * scale - 0.5));
        const end = Math.min(right, Math.ceil(x + spans[index + 1] * scale - 0.5));
        if (start >= right) break;
        if (start < end) this.owners.fill(owner, row * width + start, row * width + end);
      }
    }
  }

  /** @param {number} left @param {number} top @param {number} right @param {number} bottom */
  colour(left, top, right, bottom) {
    const { owners } = this;
    const colors = /** @type {Uint32Array} */ (this.colors);
    const { width, height } = this.canvas;
    const [shiftX, shiftY] = [Math.round(this.view.x), Math.round(this.view.y)];
    const plain = new Uint32Array(this.masks.length + 1);
    const marked = new Uint32Array(this.masks.length + 1);
    const edge = new Uint32Array(this.masks.length + 1);
    const patterns = new Uint8Array(this.masks.length + 1);
    let selected = 0;
    this.masks.forEach(({ key, color, pattern }, index) => {
      const rgb = parseInt(color.slice(5, 7) + color.slice(3, 5) + color.slice(1, 3), 16);
      const alpha = key === this.selected ? Math.min(1, this.opacity * 1.3) : this.opacity;
      plain[index + 1] = rgb | (Math.round(255 * alpha) << 24);
      marked[index + 1] = rgb | (Math.round(255 * Math.min(1, alpha * 1.9)) << 24);
      edge[index + 1] = lighter(rgb) | 0xff000000;
      patterns[index + 1] = pattern;
      if (key === this.selected) selected = index + 1;
    });
    for (let row = top; row < bottom; row += 1) {
      for (let column = left, place = row * width + left; column < right; column += 1, place += 1) {
        const owner = owners[place];
        if (!owner) {
          // A dark line outside each mask and a light one inside show it on any ground; outside the selected one it is white.
          const [west, east] = [column ? owners[place - 1] : 0, column + 1 < width ? owners[place + 1] : 0];
          const [north, south] = [row ? owners[place - width] : 0, row + 1 < height ? owners[place + width] : 0];
          const near = west || east || north || south;
          const chosen = selected && (west === selected || east === selected || north === selected || south === selected);
          colors[place] = chosen ? 0xffffffff : near ? 0x99000000 : 0;
          continue;
        }
        const onEdge = (column && owners[place - 1] !== owner) || (column + 1 < width && owners[place + 1] !== owner)
          || (row && owners[place - width] !== owner) || (row + 1 < height && owners[place + width] !== owner);
        if (onEdge) colors[place] = owner === selected && ((column + row) >> 2) & 1 ? 0xff000000 : edge[owner];
        else colors[place] = inPattern(patterns[owner], column - shiftX, row - shiftY) ? marked[owner] : plain[owner];
      }
    }
  }
}

/** @param {number} color blue, green, red @returns {number} half way to white */
function lighter(color) {
  return ((color & 0xfefefe) >> 1) + 0x7f7f7f;
}

/** @param {number} pattern @param {number} x @param {number} y @returns {boolean} whether a point of the screen is on a pattern's mark */
export function inPattern(pattern, x, y) {
  switch (pattern) {
    case 1: return ((x + y) & 7) === 0;
    case 2: return ((x - y) & 7) === 0;
    case 3: return (y & 7) === 0;
    case 4: return (x & 7) < 2 && (y & 7) < 2;
    case 5: return ((x + y) & 15) === 0 || ((x - y) & 15) === 0;
    default: return false;
  }
}

/** @param {string} key @param {import("./spans.js").Mask} mask @param {string} color @param {number} pattern @returns {Drawn | null} */
export function drawn(key, mask, color, pattern) {
  const found = box(mask);
  return found && { key, mask, box: found, color, pattern };
}
