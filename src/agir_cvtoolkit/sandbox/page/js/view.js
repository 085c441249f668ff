/**
 * What is seen: the picture, the masks, the shapes and the tool's own marks, each on a canvas of its own, so that a
 * change redraws one of them. Coordinates of the picture count from its top left corner; a pixel is one unit.
 */

const Konva = /** @type {any} */ (globalThis).Konva;
const LARGEST = 40;
const MARGIN = 24;

export class View {
  /** @param {HTMLElement} container */
  constructor(container) {
    this.container = container;
    this.stage = new Konva.Stage({ container, width: 100, height: 100 });
    this.pictureLayer = new Konva.Layer({ listening: false });
    this.maskLayer = new Konva.Layer({ listening: false });
    this.shapeLayer = new Konva.Layer();
    this.markLayer = new Konva.Layer({ listening: false });
    this.stage.add(this.pictureLayer, this.maskLayer, this.shapeLayer, this.markLayer);
    this.shapes = new Konva.Group();
    this.shapeLayer.add(this.shapes);
    this.marks = new Konva.Group();
    this.markLayer.add(this.marks);
    /** @type {import("./pictures.js").Picture | null} */
    this.picture = null;
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.fitted = true;
    /** @type {((zoomed: boolean) => void)[]} */
    this.listeners = [];
    this.pictureLayer.add(new Konva.Shape({ sceneFunc: (/** @type {any} */ context) => this.drawPicture(context._context) }));
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(container);
    this.resize();
  }

  close() {
    this.watch.disconnect();
    this.stage.destroy();
  }

  resize() {
    const { clientWidth, clientHeight } = this.container;
    if (!clientWidth || !clientHeight) return;
    this.stage.size({ width: clientWidth, height: clientHeight });
    if (this.fitted) this.fit();
    else this.moved(true);
  }

  get width() {
    return this.stage.width();
  }

  get height() {
    return this.stage.height();
  }

  /** @param {import("./pictures.js").Picture | null} picture @param {boolean} fit */
  show(picture, fit) {
    this.picture = picture;
    if (fit) this.fit();
    else this.moved(true);
  }

  fit() {
    if (!this.picture) return;
    const { width, height } = this.picture;
    const scale = Math.min((this.width - 2 * MARGIN) / width, (this.height - 2 * MARGIN) / height, LARGEST);
    this.place(scale, (this.width - width * scale) / 2, (this.height - height * scale) / 2);
    this.fitted = true;
  }

  /** Shows a part of the picture with some room around it. @param {number[]} box left, top, right, bottom */
  focus([left, top, right, bottom]) {
    const room = 0.6;
    const scale = Math.min((this.width * room) / Math.max(1, right - left), (this.height * room) / Math.max(1, bottom - top), 12);
    this.place(scale, this.width / 2 - (scale * (left + right)) / 2, this.height / 2 - (scale * (top + bottom)) / 2);
  }

  /** @param {number} factor @param {number} [atX] on the screen @param {number} [atY] */
  zoom(factor, atX = this.width / 2, atY = this.height / 2) {
    const least = Math.min(this.width, this.height) / 4 / Math.max(this.picture?.width ?? 1, this.picture?.height ?? 1);
    const scale = Math.min(LARGEST, Math.max(Math.min(least, 1), this.scale * factor));
    const grown = scale / this.scale;
    this.place(scale, atX - (atX - this.x) * grown, atY - (atY - this.y) * grown);
  }

  /** @param {number} dx on the screen @param {number} dy */
  pan(dx, dy) {
    this.place(this.scale, this.x + dx, this.y + dy);
  }

  /** @param {number} scale @param {number} x @param {number} y */
  place(scale, x, y) {
    const zoomed = scale !== this.scale;
    const { width, height } = this.picture ?? { width: 1, height: 1 };
    // Some of the picture stays in sight, wherever it is pushed.
    const keep = 60;
    this.scale = scale;
    this.x = Math.min(this.width - keep, Math.max(keep - width * scale, x));
    this.y = Math.min(this.height - keep, Math.max(keep - height * scale, y));
    this.fitted = false;
    this.moved(zoomed);
  }

  /** @param {boolean} zoomed */
  moved(zoomed) {
    for (const group of [this.shapes, this.marks]) {
      group.position({ x: this.x, y: this.y });
      group.scale({ x: this.scale, y: this.scale });
    }
    Object.assign(this.container.dataset, { scale: String(this.scale), x: String(this.x), y: String(this.y) });
    this.pictureLayer.batchDraw();
    for (const listener of this.listeners) listener(zoomed);
  }

  /** @param {{clientX: number, clientY: number}} event @returns {{x: number, y: number}} where it is in the picture */
  at(event) {
    const { left, top } = this.container.getBoundingClientRect();
    return { x: (event.clientX - left - this.x) / this.scale, y: (event.clientY - top - this.y) / this.scale };
  }

  /** @param {{x: number, y: number}} point @returns {{x: number, y: number}} the nearest place inside the picture */
  inside({ x, y }) {
    const { width, height } = this.picture ?? { width: 0, height: 0 };
    return { x: Math.min(width, Math.max(0, x)), y: Math.min(height, Math.max(0, y)) };
  }

  /** @param {number} brightness 1 is as it is @param {number} contrast 1 is as it is */
  light(brightness, contrast) {
    const canvas = /** @type {HTMLCanvasElement} */ (this.pictureLayer.getNativeCanvasElement());
    canvas.style.filter = brightness === 1 && contrast === 1 ? "" : `brightness(${brightness}) contrast(${contrast})`;
  }

  /** @param {CanvasRenderingContext2D} context */
  drawPicture(context) {
    const { picture, scale } = this;
    if (!picture) return;
    const wanted = Math.floor(Math.log2(1 / (scale * (window.devicePixelRatio || 1))));
    const level = picture.levels[Math.max(0, Math.min(picture.levels.length - 1, wanted))];
    const ratio = picture.width / level.width;
    const left = Math.max(0, -this.x / scale);
    const top = Math.max(0, -this.y / scale);
    const right = Math.min(picture.width, (this.width - this.x) / scale);
    const bottom = Math.min(picture.height, (this.height - this.y) / scale);
    if (right <= left || bottom <= top) return;
    context.imageSmoothingEnabled = scale < 2;
    context.drawImage(
      level, left / ratio, top / ratio, (right - left) / ratio, (bottom - top) / ratio,
      this.x + left * scale, this.y + top * scale, (right - left) * scale, (bottom - top) * scale,
    );
  }
}
