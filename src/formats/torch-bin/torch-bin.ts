/**
 * Reads the tensors of files that torch.save wrote: a zip of one pickle, which says where each tensor lies, and one entry
 * per storage. It can make tensors and nothing else; whatever else a file asks for is refused by name.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { FileError } from '../../base/errors.js';
import { refuseLfsPointer } from '../../base/lfs-pointer.js';
import { bytesPerElement, sizeOf, type HostTensor } from '../../tensor/host.js';
import { PickleError, unpickle } from './pickle.js';
import { readFully } from '../safetensors/safetensors.js';
import type { TensorSpec } from '../safetensors/safetensors-header.js';
import {
  dtypeOf,
  materialise,
  stateDictOf,
  torchRules,
  type StateDictOptions,
  type StoredTensor,
} from './torch-state-dict.js';
import { readZipDirectory, zipDataOffset, type ZipEntry } from './zip-directory.js';

/** The pickle of a large model has about half a megabyte. */
const MAX_PICKLE = 64 * 2 ** 20;
/** Tensors may share storage, so together they may be larger than the file; not without limit. */
const MAX_GROWTH = 4,
  GROWTH_FLOOR = 64 * 2 ** 20;

/** The tensors of one or several files. Reading one costs the read of its storage; the last storage is kept. */
export interface TorchBins {
  /** float64 is given as float32, int8 and int16 as int32 */
  readonly specs: readonly TensorSpec[];
  read(name: string): Promise<HostTensor>;
  /** what a checkpoint holds beside tensors */
  readonly leftOut: readonly string[];
}

/** @throws UserError naming the file and what it asks for that is not a tensor */
export async function openTorchBins(paths: readonly string[], options: StateDictOptions = {}): Promise<TorchBins> {
  const owners = new Map<string, TorchBin>(),
    leftOut: string[] = [];
  for (const path of paths) {
    const bin = await TorchBin.open(path, options);
    leftOut.push(...bin.leftOut);
    for (const name of bin.tensors.keys()) {
      const other = owners.get(name);
      if (other) throw new FileError(`${path}: tensor "${name}" is in ${other.file} too; which one is meant?`);
      owners.set(name, bin);
    }
  }
  const specs = [...owners].map(([name, bin]) => {
    const { storage, shape } = bin.tensors.get(name)!;
    return { name, dtype: dtypeOf(storage), shape };
  });
  return { specs, read: (name) => owners.get(name)!.read(name), leftOut };
}

class TorchBin {
  private last: { key: string; data: ArrayBuffer } | undefined;

  private constructor(
    readonly file: string,
    private readonly prefix: string,
    private readonly entries: ReadonlyMap<string, ZipEntry>,
    readonly tensors: ReadonlyMap<string, StoredTensor>,
    readonly leftOut: readonly string[],
  ) {}

  static async open(file: string, options: StateDictOptions): Promise<TorchBin> {
    return withFile(file, async (handle, size) => {
      await checkMagic(handle, file, size);
      const entries = await readZipDirectory(handle, file, size);
      const pickles = [...entries.values()].filter(({ name }) => /^(?:[^/]+\/)?data\.pkl$/.test(name));
      if (pickles.length !== 1)
        throw new FileError(
          `${file}: a zip file with ${pickles.length} entries data.pkl, torch.save writes one; is it a PyTorch file?`,
        );
      const prefix = pickles[0].name.slice(0, -'data.pkl'.length);
      await checkByteOrder(handle, file, entries.get(`${prefix}byteorder`));
      if (pickles[0].bytes > MAX_PICKLE)
        throw new FileError(
          `${file}: its data.pkl has ${pickles[0].bytes} bytes, at most ${MAX_PICKLE} are read; is it a state dict?`,
        );
      const leftOut: string[] = [];
      const tensors = readPickle(
        file,
        options,
        leftOut,
        Buffer.from(await readEntryData(handle, file, pickles[0])),
        (key) => entries.get(`${prefix}data/${key}`)?.bytes,
      );
      checkTotal(file, size, tensors);
      return new TorchBin(file, prefix, entries, tensors, leftOut);
    });
  }

  async read(name: string): Promise<HostTensor> {
    const tensor = this.tensors.get(name)!,
      { key } = tensor.storage;
    if (this.last?.key !== key) {
      const data = await withFile(this.file, (handle) =>
        readEntryData(handle, this.file, this.entries.get(`${this.prefix}data/${key}`)!),
      );
      this.last = { key, data };
    }
    return materialise(tensor, this.last.data);
  }
}

async function withFile<R>(file: string, use: (handle: FileHandle, size: number) => Promise<R>): Promise<R> {
  const handle = await open(file).catch((error: NodeJS.ErrnoException) => {
    throw new FileError(`${file}: cannot be opened (${error.code}); check the path`, { cause: error });
  });
  try {
    return await use(handle, (await handle.stat()).size);
  } finally {
    await handle.close();
  }
}

async function checkMagic(handle: FileHandle, file: string, size: number): Promise<void> {
  const magic = Buffer.alloc(Math.min(size, 32));
  await readFully(handle, file, magic, 0);
  if (magic.toString('latin1').startsWith('PK\x03\x04')) return;
  refuseLfsPointer(magic, file, 'the weights', size);
  // A pickle of protocol 2 that starts with torch's old magic number (torch/serialization.py, MAGIC_NUMBER).
  if (magic.toString('hex').startsWith('80028a0a'))
    throw new FileError(
      `${file}: in the format of PyTorch before 1.6, which is not read; save it again with a current torch.save, or as safetensors`,
    );
  throw new FileError(
    `${file}: not a PyTorch file (it starts with ${magic.toString('hex', 0, 4) || 'nothing'}, a zip with 504b0304); download it again`,
  );
}

async function checkByteOrder(handle: FileHandle, file: string, entry: ZipEntry | undefined): Promise<void> {
  if (!entry) return; // files from before PyTorch 2.1 are little-endian
  const order =
    entry.bytes <= 16 ? Buffer.from(await readEntryData(handle, file, entry)).toString() : `${entry.bytes} bytes`;
  if (order !== 'little')
    throw new FileError(
      `${file}: its byte order is ${JSON.stringify(order)}, only "little" is read; save it again on a little-endian machine`,
    );
}

/** All bytes of an entry, checked against its checksum. */
async function readEntryData(handle: FileHandle, file: string, entry: ZipEntry): Promise<ArrayBuffer> {
  const data = new Uint8Array(entry.bytes);
  await readFully(handle, file, data, await zipDataOffset(handle, file, entry));
  const actual = crc32(data);
  if (actual !== entry.crc32)
    throw new FileError(
      `${file}: entry "${entry.name}" is damaged (its checksum is ${hex(actual)}, stored is ${hex(entry.crc32)}); download or save it again`,
    );
  return data.buffer;
}

const hex = (n: number): string => n.toString(16).padStart(8, '0');

function readPickle(
  file: string,
  options: StateDictOptions,
  leftOut: string[],
  pickle: Buffer,
  storageBytes: (key: string) => number | undefined,
): Map<string, StoredTensor> {
  try {
    const root = unpickle(pickle, torchRules(storageBytes, options));
    return stateDictOf(root, options.checkpoint ? (name) => leftOut.push(name) : undefined);
  } catch (error) {
    if (!(error instanceof PickleError)) throw error;
    throw new FileError(
      `${file}: refused, its data.pkl: ${error.message}; only state dicts are read and nothing was executed, use a file you trust or one saved as safetensors`,
      { cause: error },
    );
  }
}

function checkTotal(file: string, size: number, tensors: ReadonlyMap<string, StoredTensor>): void {
  let total = 0;
  for (const { storage, shape } of tensors.values()) total += sizeOf(shape) * bytesPerElement[dtypeOf(storage)];
  if (total > MAX_GROWTH * size + GROWTH_FLOOR)
    throw new FileError(
      `${file}: its tensors would have ${total} bytes, the file has ${size}; expanded tensors must be saved contiguous`,
    );
}
