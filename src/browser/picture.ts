import type { HostTensor } from '../tensor/host.js';

/** A picture that was drawn. */
export class BrowserPicture {
  readonly width: number;
  readonly height: number;
  /** red, green, blue, 0 to 255, row by row */
  readonly data: Uint8Array;

  constructor(
    pixels: HostTensor,
    readonly seed: number,
    readonly prompt: string,
  ) {
    [this.height, this.width] = pixels.shape;
    this.data = pixels.data as Uint8Array;
  }

  /** For `new ImageData(picture.rgba(), picture.width)`. */
  rgba(): Uint8ClampedArray<ArrayBuffer> {
    const rgba = new Uint8ClampedArray(this.width * this.height * 4).fill(255);
    for (let p = 0; p < this.width * this.height; p++) rgba.set(this.data.subarray(p * 3, p * 3 + 3), p * 4);
    return rgba;
  }
}
