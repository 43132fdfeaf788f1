import { encodePng } from '../datasets/image/picture-file.js';
import { writeFileAtomic } from '../base/atomic-file.js';
import type { HostTensor } from '../tensor/host.js';

/** A drawn picture. */
export class Picture {
  /** pixels */
  readonly width: number;
  /** pixels */
  readonly height: number;
  /** uint8 [height, width, 3], RGB, row by row */
  readonly data: Uint8Array;

  /** @param pixels uint8 [H, W, 3] @param seed that its noise started from @param prompt what was asked for */
  constructor(
    private readonly pixels: HostTensor,
    readonly seed: number,
    readonly prompt: string,
  ) {
    const [height, width] = pixels.shape;
    this.width = width;
    this.height = height;
    this.data = pixels.data as Uint8Array;
  }

  /** The bytes of a PNG file. */
  async png(): Promise<Uint8Array> {
    return encodePng(this.pixels);
  }

  /** Writes a PNG file, whole or not at all; makes its folder. @throws UserError FILE_ACCESS, DISK_FULL */
  async save(path: string): Promise<void> {
    await writeFileAtomic(path, await this.png());
  }
}
