/** Safetensors files. Tensors are read by byte range, so a file of any size costs only what is asked of it. */
import { open, type FileHandle } from 'node:fs/promises';
import { resolve } from 'node:path';
import { writeFileAtomic } from '../../base/atomic-file.js';
import { track } from '../../base/progress.js';
import type { Logger } from '../../base/logger.js';
import { FileError } from '../../base/errors.js';
import { sizeOf, type DType, type HostTensor, type TypedArray } from '../../tensor/host.js';
import { toFloat32 } from '../float-formats.js';
import { layOut, readHeader, type TensorSpec } from './safetensors-header.js';
import type { TensorEntry, WeightFile } from '../weight-file.js';

export type { TensorSpec } from './safetensors-header.js';

/** One system call moves at most 2 GB. */
const MAX_IO = 2 ** 30;

/** Opens one file and checks its header against its size. @throws UserError naming the file and what is wrong */
export async function openSafetensors(path: string): Promise<WeightFile> {
  const file = resolve(path);
  const handle = await openFile(file);
  try {
    const { entries, metadata } = await readHeader(handle, file, (await handle.stat()).size);
    return new SafetensorsFile([file], entries, metadata);
  } finally {
    await handle.close();
  }
}

async function openFile(file: string): Promise<FileHandle> {
  const handle = await open(file).catch((error: NodeJS.ErrnoException) => {
    throw new FileError(`${file}: cannot be opened (${error.code}); check the path`, { cause: error });
  });
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw new FileError(`${file}: not a file; give the path of a .safetensors file`);
}

/** Entries of one or several files. */
export class SafetensorsFile implements WeightFile {
  constructor(
    readonly files: readonly string[],
    readonly entries: ReadonlyMap<string, TensorEntry>,
    readonly metadata: Readonly<Record<string, string>>,
  ) {}

  async read(name: string): Promise<HostTensor> {
    const entry = this.entries.get(name);
    if (!entry)
      throw new FileError(
        `${this.files.join(', ')}: no tensor "${name}"; it has ${[...this.entries.keys()].slice(0, 3).join(', ')}, ... (${this.entries.size})`,
      );
    return readEntry(entry);
  }

  async readFloat32(name: string): Promise<HostTensor> {
    return toFloat32(await this.read(name));
  }
}

/** The values of one tensor. */
export async function readEntry({ file, offset, bytes, dtype, shape }: TensorEntry): Promise<HostTensor> {
  const handle = await openFile(file);
  try {
    const data = new ArrayBuffer(bytes);
    await readFully(handle, file, new Uint8Array(data), offset);
    return { dtype, shape, data: viewAs(dtype, data) };
  } finally {
    await handle.close();
  }
}

/** Fills `into` with the bytes at `position`. @throws UserError when the file ends before */
export async function readFully(handle: FileHandle, file: string, into: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < into.length;) {
    const { bytesRead } = await handle.read(into, at, Math.min(MAX_IO, into.length - at), position + at);
    if (bytesRead === 0)
      throw new FileError(
        `${file}: ends before byte ${position + into.length}; it is cut off or changed while it was read, download or write it again`,
      );
    at += bytesRead;
  }
}

/** The little-endian bytes of a tensor as its elements. */
export function viewAs(dtype: DType, data: ArrayBuffer): TypedArray {
  if (dtype === 'float32') return new Float32Array(data);
  if (dtype === 'int32') return new Int32Array(data);
  if (dtype === 'int64') return new BigInt64Array(data);
  return dtype === 'float16' || dtype === 'bfloat16' ? new Uint16Array(data) : new Uint8Array(data);
}

/**
 * Writes a file, whole or not at all; creates its folder. Tensors are laid out by dtype, widest first, then by name, as
 * the safetensors library does.
 * @throws UserError when the disk is full or the folder read-only
 */
export async function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, HostTensor>>,
  metadata: Readonly<Record<string, string>> = {},
  progress?: WriteProgress,
): Promise<void> {
  const specs = Object.entries(tensors).map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  await writeSafetensorsStream(path, specs, ({ name }) => tensors[name], metadata, progress);
}

/** Who waits for a file sees how far it is. */
export interface WriteProgress {
  readonly log: Logger;
  /** what the tensors are of: "unet" */
  readonly of: string;
}

/** As `writeSafetensors`, with one tensor in memory at a time. `produce` is called in file order. */
export async function writeSafetensorsStream(
  path: string,
  specs: readonly TensorSpec[],
  produce: (spec: TensorSpec) => HostTensor | Promise<HostTensor>,
  metadata: Readonly<Record<string, string>> = {},
  progress?: WriteProgress,
): Promise<void> {
  const { order, head } = layOut(specs, metadata),
    bar = progress && track(progress.log, { what: `tensors of ${progress.of}`, total: order.length });
  try {
    await writeFileAtomic(path, async (file) => {
      await writeAll(file, head);
      for (const [i, spec] of order.entries()) {
        await writeAll(file, bytesOf(path, spec, await produce(spec)));
        bar?.update(i + 1);
      }
    });
  } finally {
    bar?.stop();
  }
}

function bytesOf(path: string, spec: TensorSpec, { data, dtype, shape }: HostTensor): Uint8Array {
  if (dtype !== spec.dtype || data.length !== sizeOf(spec.shape)) {
    throw new Error(
      `${path}: tensor "${spec.name}" is [${shape}] ${dtype} with ${data.length} values, announced as [${spec.shape}] ${spec.dtype}`,
    );
  }
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;)
    at += (await handle.write(bytes, at, Math.min(MAX_IO, bytes.length - at))).bytesWritten;
}
