/** The pointer on the picture: mouse, pen or one finger for the tool; two fingers, wheel and middle button for the view. */

/** How far a finger goes, in points of the screen, before it is no tap any more. */
const TAP = 8;

/** @param {import("./layout.js").Layout} layout @returns {() => void} stops listening */
export function pointersOn(layout) {
  const { canvas, editor } = layout;
  /** The fingers on the picture, by pointer. @type {Map<number, {x: number, y: number}>} */
  const fingers = new Map();
  /** A finger that may yet become a tap, a stroke, or the first of two. @type {PointerEvent | null} */
  let waiting = null;
  let pinching = false;
  let pressed = false;
  /** @type {{x: number, y: number} | null} */
  let held = null;

  const begin = (/** @type {PointerEvent} */ event) => {
    pressed = true;
    editor.tool.down(editor.view.at(event), event);
  };
  const giveUp = () => {
    waiting = null;
    held = null;
    if (pressed) editor.tool.cancel();
    pressed = false;
  };
  const spread = () => {
    const [one, two] = [...fingers.values()];
    const { left, top } = canvas.getBoundingClientRect();
    return { x: (one.x + two.x) / 2 - left, y: (one.y + two.y) / 2 - top, width: Math.max(1, Math.hypot(one.x - two.x, one.y - two.y)) };
  };
  const pinch = (/** @type {PointerEvent} */ event) => {
    if (fingers.size !== 2) return;
    const before = spread();
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const after = spread();
    editor.view.zoom(after.width / before.width, before.x, before.y);
    editor.view.pan(after.x - before.x, after.y - before.y);
  };
  const touch = (/** @type {PointerEvent} */ event) => {
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (fingers.size === 1) waiting = event;
    else if (!pinching) {
      // What the first finger had begun was meant for the view.
      pinching = true;
      giveUp();
      editor.shapeLayer.drop();
    }
  };

  canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    canvas.focus({ preventScroll: true });
    if (!editor.view.picture) return;
    if (event.pointerType === "touch") {
      touch(event);
      return;
    }
    if (event.button === 1 || layout.grabbing) {
      event.preventDefault();
      held = { x: event.clientX, y: event.clientY };
    } else if (event.button === 0) begin(event);
    else return;
    // Konva follows its own drags; tools follow the pointer wherever it goes.
    if (held || editor.tool.id !== "select") canvas.setPointerCapture(event.pointerId);
  });
  const onMove = (/** @type {PointerEvent} */ event) => {
    if (fingers.has(event.pointerId)) {
      if (pinching) {
        pinch(event);
        return;
      }
      if (waiting) {
        if (Math.hypot(event.clientX - waiting.clientX, event.clientY - waiting.clientY) < TAP) return;
        if (editor.tool.taps) held = { x: waiting.clientX, y: waiting.clientY };
        else begin(waiting);
        waiting = null;
      }
    }
    if (held) {
      editor.view.pan(event.clientX - held.x, event.clientY - held.y);
      held = { x: event.clientX, y: event.clientY };
    } else if (editor.view.picture && (pressed || canvas.contains(/** @type {Node} */ (event.target)))) {
      editor.tool.move(editor.view.at(event), event, pressed);
    }
  };
  const onUp = (/** @type {PointerEvent} */ event) => {
    if (fingers.delete(event.pointerId) && pinching) {
      pinching = fingers.size > 0;
      return;
    }
    if (waiting) begin(waiting);
    waiting = null;
    held = null;
    if (pressed) editor.tool.up(editor.view.at(event), event);
    pressed = false;
  };
  const onCancel = (/** @type {PointerEvent} */ event) => {
    fingers.delete(event.pointerId);
    pinching &&= fingers.size > 0;
    giveUp();
  };
  window.addEventListener("pointermove", onMove);
  window.addEventListener("pointerup", onUp);
  window.addEventListener("pointercancel", onCancel);
  canvas.addEventListener("pointerleave", () => layout.tip(null));
  canvas.addEventListener("contextmenu", (/** @type {Event} */ event) => event.preventDefault());
  canvas.addEventListener("wheel", (/** @type {WheelEvent} */ event) => {
    event.preventDefault();
    const { left, top } = canvas.getBoundingClientRect();
    const lines = event.deltaMode ? 30 : 1;
    editor.view.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015)), event.clientX - left, event.clientY - top);
  }, { passive: false });
  return () => {
    window.removeEventListener("pointermove", onMove);
    window.removeEventListener("pointerup", onUp);
    window.removeEventListener("pointercancel", onCancel);
  };
}
