/** A class's colour and pattern, as its masks are drawn. */

import { inPattern } from "./masks.js";

const SIZE = 18;

/** @param {string} color @param {number} pattern @returns {HTMLCanvasElement} */
export function swatch(color, pattern) {
  const canvas = document.createElement("canvas");
  canvas.width = SIZE;
  canvas.height = SIZE;
  canvas.className = "swatch";
  canvas.setAttribute("aria-hidden", "true");
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.fillStyle = color;
  context.globalAlpha = pattern ? 0.5 : 0.75;
  context.fillRect(0, 0, SIZE, SIZE);
  context.globalAlpha = 1;
  for (let y = 0; y < SIZE; y += 1) for (let x = 0; x < SIZE; x += 1) if (inPattern(pattern, x, y)) context.fillRect(x, y, 1.6, 1.6);
  context.strokeStyle = color;
  context.lineWidth = 2;
  context.strokeRect(1, 1, SIZE - 2, SIZE - 2);
  return canvas;
}
