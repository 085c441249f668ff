/** The pictures of a job: decoded beside the page's own work, smaller copies for looking from afar, the next one ahead. */

import { blob, patiently } from "./api.js";

const KEPT = 3;
const SMALLEST = 1024;

/** @typedef {{width: number, height: number, levels: ImageBitmap[]}} Picture levels: whole, half, quarter … */

export class Pictures {
  /**
   * @param {number} jobId @param {(frame: number) => {width: number, height: number}} sizeOf
   * @param {(frame: number, trouble: Error) => boolean} waits told when a picture has to be asked for again; false when nobody wants it any more
   */
  constructor(jobId, sizeOf, waits) {
    this.jobId = jobId;
    this.sizeOf = sizeOf;
    this.waits = waits;
    /** @type {Map<number, Promise<Picture>>} */
    this.cache = new Map();
  }

  /** @param {number} frame @returns {Promise<Picture>} */
  load(frame) {
    let found = this.cache.get(frame);
    if (found) this.cache.delete(frame);
    else {
      found = this.fetch(frame);
      found.catch(() => this.cache.delete(frame));
    }
    this.cache.set(frame, found);
    for (const [old, picture] of this.cache) {
      if (this.cache.size <= KEPT) break;
      this.cache.delete(old);
      picture.then(({ levels }) => levels.forEach((level) => level.close()), () => {});
    }
    return found;
  }

  /** @param {number} frame @returns {Promise<Picture>} */
  async fetch(frame) {
    const { width, height } = this.sizeOf(frame);
    const path = `/api/jobs/${this.jobId}/data?type=frame&number=${frame}&quality=`;
    const get = (/** @type {string} */ quality) => patiently(() => blob(path + quality), (trouble) => this.waits(frame, trouble));
    let whole = await decoded(await get("original"));
    // TIFF and the like: what browsers do not show, the server turns into JPEG.
    if (whole?.width !== width || whole.height !== height) whole = await decoded(await get("compressed"));
    if (whole?.width !== width || whole.height !== height) throw new Error("This picture cannot be shown.");
    /** @type {Picture} */
    const picture = { width, height, levels: [whole] };
    return picture;
  }
}

/** Adds the smaller copies of a picture. @param {Picture} picture */
export async function shrink(picture) {
  let last = picture.levels[picture.levels.length - 1];
  while (last.width > SMALLEST) {
    const size = { resizeWidth: Math.ceil(last.width / 2), resizeHeight: Math.ceil(last.height / 2) };
    last = await createImageBitmap(last, { ...size, resizeQuality: "medium" });
    picture.levels.push(last);
  }
}

/** @param {Blob} data @returns {Promise<ImageBitmap | null>} */
function decoded(data) {
  return createImageBitmap(data).catch(() => null);
}
