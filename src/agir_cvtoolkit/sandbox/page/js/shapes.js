/** Draws boxes, outlines, points and skeletons, and lets them be taken hold of while the tool is "select". */

const Konva = /** @type {any} */ (globalThis).Konva;

/**
 * @typedef {{key: string | null, part: number | null}} Selection part: the label of a joint, or the place of a corner
 * @typedef {{select: (key: string, part: number | null) => void, change: (key: string, fields: any) => void,
 *   changeElement: (key: string, labelId: number, fields: any) => void, hover: (text: string | null, event?: any) => void}} Hooks
 */

export class ShapeLayer {
  /**
   * @param {import("./view.js").View} view @param {import("./labels.js").Labels} labels @param {Hooks} hooks
   */
  constructor(view, labels, hooks) {
    this.view = view;
    this.labels = labels;
    this.hooks = hooks;
    /** @type {[string, any][]} */
    this.items = [];
    /** @type {Selection} */
    this.selection = { key: null, part: null };
    this.grabbing = true;
    /** Whether the button is down on a shape: what is held must not be replaced. */
    this.held = false;
    this.pending = 0;
    this.frame = new Konva.Transformer({ rotateEnabled: true, flipEnabled: false, keepRatio: false, ignoreStroke: true, anchorSize: 10,
      anchorCornerRadius: 5, borderStroke: "#fff", borderStrokeWidth: 1, anchorStroke: "#1d6b4f", rotateAnchorOffset: 24 });
    view.shapeLayer.add(this.frame);
    view.listeners.push((zoomed) => (zoomed ? this.redraw() : this.frame.forceUpdate()));
    view.stage.on("pointerdown", (/** @type {any} */ event) => {
      this.held = event.target !== view.stage;
    });
    this.onUp = () => {
      if (this.held) setTimeout(() => this.letGo());
    };
    window.addEventListener("pointerup", this.onUp);
  }

  close() {
    window.removeEventListener("pointerup", this.onUp);
  }

  letGo() {
    this.held = false;
    this.redraw();
  }

  /** Lets go of what is being dragged or resized: it goes back to where it was. */
  drop() {
    const moving = this.view.stage.find((/** @type {any} */ node) => node.isDragging());
    for (const node of [...moving, ...this.frame.nodes()]) node.off("dragend transformend");
    for (const node of moving) node.stopDrag();
    this.frame.stopTransform();
    this.letGo();
  }

  /** @param {[string, any][]} items bottom first @param {Selection} selection @param {boolean} grabbing whether shapes react to the pointer */
  show(items, selection, grabbing) {
    this.items = items;
    this.selection = selection;
    this.grabbing = grabbing;
    this.redraw();
  }

  redraw() {
    if (!this.pending) this.pending = requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.pending = 0;
    if (this.held) return;
    const { shapes } = this.view;
    shapes.destroyChildren();
    shapes.listening(this.grabbing);
    this.frame.nodes([]);
    for (const [key, shape] of this.items) {
      const group = new Konva.Group();
      shapes.add(group);
      const selected = key === this.selection.key;
      const draw = { rectangle: this.rectangle, polygon: this.outline, polyline: this.outline, points: this.points, skeleton: this.skeleton,
        ellipse: this.ellipse, cuboid: this.cuboid }[/** @type {string} */ (shape.type)];
      draw?.call(this, group, key, shape, selected);
    }
    this.view.shapeLayer.batchDraw();
  }

  /** @param {number} points of the screen @returns {number} in the picture */
  px(points) {
    return points / this.view.scale;
  }

  /** @param {any} shape @param {boolean} selected */
  stroke(shape, selected) {
    return { stroke: this.labels.lineColor(shape.label_id), strokeWidth: selected ? 3 : 2, strokeScaleEnabled: false, hitStrokeWidth: 10,
      dash: shape.occluded ? [8, 5] : undefined, perfectDrawEnabled: false };
  }

  /** @param {any} node @param {string} key @param {any} shape @param {number | null} [part] @param {string} [text] */
  listen(node, key, shape, part = null, text = this.labels.name(shape.label_id)) {
    const also = shape.occluded ? " (occluded)" : "";
    node.on("pointerdown", (/** @type {any} */ event) => {
      if (event.evt.button === 0) this.hooks.select(key, part);
    });
    node.on("pointerenter", (/** @type {any} */ event) => this.hooks.hover(text + also, event.evt));
    node.on("pointerleave", () => this.hooks.hover(null));
    node.on("dragstart", () => this.hooks.hover(null));
    return node;
  }

  /** @param {any} group @param {string} key @param {any} shape @param {boolean} selected */
  rectangle(group, key, shape, selected) {
    const [x1, y1, x2, y2] = shape.points;
    const [width, height] = [x2 - x1, y2 - y1];
    const node = new Konva.Rect({ x: (x1 + x2) / 2, y: (y1 + y2) / 2, width, height, offsetX: width / 2, offsetY: height / 2,
      rotation: shape.rotation, fill: "rgba(255,255,255,0.001)", draggable: selected, ...this.stroke(shape, selected) });
    if (!selected) node.fillEnabled(false);
    group.add(this.listen(node, key, shape));
    const done = () => {
      const [w, h] = [Math.abs(node.width() * node.scaleX()), Math.abs(node.height() * node.scaleY())];
      const rotation = ((node.rotation() % 360) + 360) % 360;
      let { x, y } = { x: node.x(), y: node.y() };
      let points = [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
      if (!rotation) points = this.clamped(points);
      this.hooks.change(key, { points, rotation });
    };
    node.on("dragend transformend", done);
    if (selected && this.grabbing) {
      this.frame.nodes([node]);
      this.frame.moveToTop();
    }
  }

  /** @param {any} group @param {string} key @param {any} shape @param {boolean} selected */
  outline(group, key, shape, selected) {
    const closed = shape.type === "polygon";
    const color = this.labels.color(shape.label_id);
    const line = new Konva.Line({ points: shape.points, closed, fill: closed ? color + "38" : undefined, ...this.stroke(shape, selected) });
    group.add(this.listen(line, key, shape));
    if (!selected || !this.grabbing) return;
    const count = shape.points.length / 2;
    const at = (/** @type {number} */ i) => [shape.points[2 * i], shape.points[2 * i + 1]];
    for (let i = 0; i < count - (closed ? 0 : 1); i += 1) {
      const [[ax, ay], [bx, by]] = [at(i), at((i + 1) % count)];
      const middle = new Konva.Circle({ x: (ax + bx) / 2, y: (ay + by) / 2, radius: this.px(4), fill: color, opacity: 0.7, hitStrokeWidth: 8,
        stroke: "#fff", strokeWidth: 1, strokeScaleEnabled: false });
      middle.on("pointerdown", (/** @type {any} */ event) => {
        if (event.evt.button !== 0) return;
        const points = [...shape.points];
        points.splice(2 * i + 2, 0, (ax + bx) / 2, (ay + by) / 2);
        this.hooks.change(key, { points });
      });
      group.add(middle);
    }
    for (let i = 0; i < count; i += 1) {
      const [x, y] = at(i);
      const corner = this.handle(x, y, color, i === this.selection.part);
      corner.on("pointerdown", (/** @type {any} */ event) => event.evt.button === 0 && this.hooks.select(key, i));
      corner.on("dragmove", () => {
        const points = [...shape.points];
        [points[2 * i], points[2 * i + 1]] = [corner.x(), corner.y()];
        line.points(points);
      });
      corner.on("dragend", () => this.hooks.change(key, { points: this.clamped(line.points()) }));
      corner.on("dblclick dbltap", () => {
        if (count <= (closed ? 3 : 2)) return;
        this.hooks.change(key, { points: shape.points.filter((/** @type {number} */ _, /** @type {number} */ place) => place >> 1 !== i) });
      });
      group.add(corner);
    }
  }

  /** @param {number} x @param {number} y @param {string} color @param {boolean} selected */
  handle(x, y, color, selected) {
    return new Konva.Circle({ x, y, radius: this.px(selected ? 7 : 5.5), fill: "#fff", stroke: color, strokeWidth: 2.5, strokeScaleEnabled: false,
      hitStrokeWidth: 12, draggable: true });
  }

  /** @param {any} group @param {string} key @param {any} shape @param {boolean} selected */
  points(group, key, shape, selected) {
    for (let i = 0; i < shape.points.length / 2; i += 1) {
      const chosen = selected && (this.selection.part === null || this.selection.part === i);
      const joint = this.joint(group, shape.points[2 * i], shape.points[2 * i + 1], shape, chosen, selected);
      this.listen(joint, key, shape, i);
      joint.on("dragend", () => {
        const points = [...shape.points];
        [points[2 * i], points[2 * i + 1]] = [joint.x(), joint.y()];
        this.hooks.change(key, { points: this.clamped(points) });
      });
    }
  }

  /** @param {any} group @param {string} key @param {any} shape @param {boolean} selected */
  skeleton(group, key, shape, selected) {
    const label = this.labels.byId.get(shape.label_id);
    const there = new Map(shape.elements.filter((/** @type {any} */ e) => !e.outside).map((/** @type {any} */ e) => [e.label_id, e]));
    const lineColor = this.labels.lineColor(shape.label_id);
    /** @type {any[]} */
    const lines = [];
    for (const [from, to] of label ? this.labels.drawing(label).edges : []) {
      const [a, b] = [there.get(from), there.get(to)];
      if (!a || !b) continue;
      const halo = new Konva.Line({ points: [...a.points, ...b.points], stroke: "rgba(0,0,0,.55)", strokeWidth: selected ? 5 : 4, strokeScaleEnabled: false, listening: false });
      const line = new Konva.Line({ points: [...a.points, ...b.points], stroke: lineColor, strokeWidth: selected ? 3 : 2, strokeScaleEnabled: false,
        hitStrokeWidth: 8, dash: a.occluded || b.occluded ? [7, 5] : undefined });
      group.add(halo, this.listen(line, key, shape));
      lines.push({ from, to, nodes: [halo, line] });
    }
    for (const element of there.values()) {
      const chosen = selected && this.selection.part === element.label_id;
      const joint = this.joint(group, element.points[0], element.points[1], element, chosen, selected);
      this.listen(joint, key, element, element.label_id);
      joint.on("dragmove", () => {
        for (const { from, to, nodes } of lines) {
          if (from !== element.label_id && to !== element.label_id) continue;
          for (const node of nodes) {
            const [ax, ay, bx, by] = node.points();
            node.points(from === element.label_id ? [joint.x(), joint.y(), bx, by] : [ax, ay, joint.x(), joint.y()]);
          }
        }
      });
      joint.on("dragend", () => this.hooks.changeElement(key, element.label_id, { points: this.clamped([joint.x(), joint.y()]) }));
    }
  }

  /** A joint: filled where it is seen, a ring where it is occluded. @param {any} group @param {number} x @param {number} y @param {any} item @param {boolean} chosen @param {boolean} selected */
  joint(group, x, y, item, chosen, selected) {
    const color = this.labels.color(item.label_id);
    const radius = this.px(chosen ? 8 : selected ? 6.5 : 5.5);
    const node = new Konva.Group({ x, y, draggable: this.grabbing });
    node.add(new Konva.Circle({ radius: radius + this.px(2.5), fill: chosen ? "#fff" : "rgba(0,0,0,.6)" }));
    if (item.occluded) {
      node.add(new Konva.Circle({ radius, fill: "rgba(0,0,0,.35)" }));
      node.add(new Konva.Circle({ radius: radius - this.px(0.5), stroke: color, strokeWidth: 3, strokeScaleEnabled: false }));
    } else node.add(new Konva.Circle({ radius, fill: color, stroke: "#fff", strokeWidth: 1.5, strokeScaleEnabled: false }));
    node.add(new Konva.Circle({ radius: this.px(12), fill: "rgba(0,0,0,0)" }));
    group.add(node);
    return node;
  }

  /** @param {any} group @param {string} key @param {any} shape @param {boolean} selected */
  ellipse(group, key, shape, selected) {
    const [x, y, right, top] = shape.points;
    group.add(this.listen(new Konva.Ellipse({ x, y, radiusX: Math.abs(right - x), radiusY: Math.abs(y - top), rotation: shape.rotation,
      ...this.stroke(shape, selected) }), key, shape));
  }

  /** @param {any} group @param {string} key @param {any} shape @param {boolean} selected */
  cuboid(group, key, shape, selected) {
    for (const points of [shape.points.slice(0, 8), shape.points.slice(8)]) {
      group.add(this.listen(new Konva.Line({ points, closed: true, ...this.stroke(shape, selected) }), key, shape));
    }
  }

  /** @param {number[]} points @returns {number[]} inside the picture */
  clamped(points) {
    const { width, height } = /** @type {any} */ (this.view.picture);
    return points.map((value, place) => Math.min(place % 2 ? height : width, Math.max(0, value)));
  }
}
