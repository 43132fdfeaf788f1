/**
 * Large weights that are stored with 16 bits, as float32. ONNX Runtime would widen them when a program is loaded, into
 * memory that only this program has: 2.2 GB for the U-Net of small-sd, once more for each program. So the file is widened
 * once, into the cache, and mapped like any file of float32 weights: shared by all programs, and the system may take the
 * pages back.
 */
import { createHash } from 'node:crypto';
import { open, realpath, stat, statfs, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { writeFileAtomic } from '../../base/atomic-file.js';
import { UserError } from '../../base/errors.js';
import type { Logger } from '../../base/logger.js';
import { bfloat16sToFloats, float16sToFloats } from '../../tensor/half.js';
import { rewrite } from '../../tensor/passes/rewrite.js';
import { topo, weight, type Node, type WeightSource } from '../../tensor/tensor.js';
import { rootsOf, withRoots, type Program } from '../backend.js';

/** Part of the name: raise it when the format changes. */
const VERSION = 1;
/** Bytes with 16 bits that a program must read from a file: below, a copy in memory costs less than a second file. */
const LARGE = 32 * 2 ** 20;
const CHUNK_BYTES = 2 ** 24;
/** Left free on the disk. */
const SPARE_BYTES = 2 ** 30;

type FileSource = Extract<WeightSource, { file: string }>;

/** The weight that a node widens from 16 bits in a file, if that is what it does. */
function widened({ op, inputs: [x], outs: [out] }: Node): FileSource | undefined {
  if (
    op !== 'cast' ||
    out.dtype !== 'float32' ||
    x.node.op !== 'weight' ||
    (x.dtype !== 'float16' && x.dtype !== 'bfloat16')
  )
    return undefined;
  const source = x.node.payload as WeightSource;
  return 'file' in source && source.offset % 2 === 0 ? source : undefined;
}

/** All of a file is read as one dtype. */
const placeOf = (node: Node, { file }: FileSource): string => `${node.inputs[0].dtype} ${file}`;

/** The nodes of a program, after the passes of a backend, that read float32 copies of large files instead. From the graph alone. */
export function largeWidenings(program: Program): ReadonlyMap<Node, FileSource> {
  const bytes = new Map<string, number>(),
    found: [Node, FileSource][] = [],
    counted = new Set<string>();
  for (const node of topo(rootsOf(program))) {
    const source = widened(node);
    if (!source) continue;
    found.push([node, source]);
    const place = placeOf(node, source),
      key = `${place} ${source.offset}`;
    if (!counted.has(key)) bytes.set(place, (bytes.get(place) ?? 0) + source.bytes);
    counted.add(key);
  }
  return new Map(found.filter(([node, source]) => (bytes.get(placeOf(node, source)) as number) >= LARGE));
}

export class WideWeights {
  private readonly copies = new Map<string, Promise<string | undefined>>();

  constructor(
    private readonly cacheDir: string,
    private readonly log?: Logger,
  ) {}

  /** The program with weights of large files read from their float32 copies, which are made where there are none yet. */
  async apply(program: Program): Promise<Program> {
    const nodes = largeWidenings(program),
      files = new Map<string, string | undefined>();
    if (nodes.size === 0) return program;
    for (const [node, source] of nodes) {
      const place = placeOf(node, source);
      if (!files.has(place)) files.set(place, await this.copy(place, source.file, node.inputs[0].dtype as 'float16'));
    }
    const roots = rewrite(rootsOf(program), (node) => {
      const source = nodes.get(node);
      const file = source && files.get(placeOf(node, source));
      return source && file
        ? [weight({ key: source.key, file, offset: 2 * source.offset, bytes: 2 * source.bytes }, node.outs[0])]
        : undefined;
    });
    return withRoots(program, roots);
  }

  private copy(place: string, file: string, dtype: 'float16' | 'bfloat16'): Promise<string | undefined> {
    const known = this.copies.get(place) ?? this.make(file, dtype);
    this.copies.set(place, known);
    return known;
  }

  /** @returns the path of the copy; undefined, with a warning, where there is no room for it */
  private async make(file: string, dtype: 'float16' | 'bfloat16'): Promise<string | undefined> {
    const real = await realpath(file),
      { size, mtimeMs } = await stat(real);
    const hash = createHash('sha256')
      .update(`${VERSION}\n${real}\n${size}\n${mtimeMs}\n${dtype}`)
      .digest('hex')
      .slice(0, 24);
    const path = join(this.cacheDir, 'float32', `${basename(file)}-${hash}`);
    if (await stat(path).catch(() => undefined)) return path;
    try {
      await this.checkRoom(path, 2 * size);
      this.log?.info(`${file}: ${dtype} weights as float32, once, into ${path}`);
      const from = await open(real);
      try {
        await writeFileAtomic(path, (to) =>
          widen(from, to, size, dtype === 'float16' ? float16sToFloats : bfloat16sToFloats),
        );
      } finally {
        await from.close();
      }
      return path;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.log?.warn(
        `${error.message}. Until then each program widens these weights in memory of its own, about ${((2 * size) / 2 ** 30).toFixed(1)} GiB`,
      );
      return undefined;
    }
  }

  private async checkRoom(path: string, bytes: number): Promise<void> {
    let folder = dirname(path);
    while (!(await stat(folder).catch(() => undefined))) folder = dirname(folder);
    const { bavail, bsize } = await statfs(folder),
      gib = (n: number): string => `${(n / 2 ** 30).toFixed(1)} GiB`;
    if (bavail * bsize < bytes + SPARE_BYTES)
      throw new UserError(
        `${path}: needs ${gib(bytes)}, ${gib(bavail * bsize)} are free; free some space, or set cache_dir to another disk.`,
        { code: 'DISK_FULL' },
      );
  }
}

/** Word i of one file becomes number i of the other. Words that are not of weights become numbers that nobody reads. */
async function widen(
  from: FileHandle,
  to: FileHandle,
  size: number,
  floats: (words: Uint16Array) => Float32Array,
): Promise<void> {
  const words = new Uint16Array(CHUNK_BYTES / 2);
  for (let at = 0; at < size; at += CHUNK_BYTES) {
    const bytes = new Uint8Array(words.buffer, 0, Math.min(CHUNK_BYTES, size - at)).fill(0);
    for (let got = 0; got < bytes.length;) {
      const { bytesRead } = await from.read(bytes, got, bytes.length - got, at + got);
      if (bytesRead === 0)
        throw new Error(`weights: the file ends at byte ${at + got} of ${size}; it changed while it was read`);
      got += bytesRead;
    }
    const wide = floats(words.subarray(0, Math.ceil(bytes.length / 2)));
    await to.write(new Uint8Array(wide.buffer), 0, wide.byteLength);
  }
}
