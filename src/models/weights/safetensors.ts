/**
 * The safetensors format: 8 bytes of header length, a JSON header of names, dtypes, shapes and byte ranges, then the data.
 * Tensors are read by range, so a file of any size costs only what is asked of it.
 */
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { resolve } from 'node:path';
import { UserError } from '../../errors.js';
import { bytesPerElement, sizeOf, type DType, type HostTensor, type Shape, type TypedArray } from '../../tensor/host.js';
import { toFloat32 } from './convert.js';
import type { TensorEntry, WeightFile } from './weight-file.js';

const DTYPES: Readonly<Record<string, DType>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16', I32: 'int32', I64: 'int64', U8: 'uint8', BOOL: 'bool' };
const NAMES = Object.fromEntries(Object.entries(DTYPES).map(([k, v]) => [v, k])) as Record<DType, string>;
/** The format's own limit on headers. */
const MAX_HEADER = 100 * 2 ** 20;
/** One system call moves at most 2 GB. */
const MAX_IO = 2 ** 30;

interface HeaderEntry { readonly dtype: string; readonly shape: number[]; readonly data_offsets: [number, number] }

/** Opens one file and checks its header against its size. @throws UserError naming the file and what is wrong */
export async function openSafetensors(path: string): Promise<WeightFile> {
  const file = resolve(path);
  const handle = await open(file).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${file}: cannot be opened (${error.code}); check the path`, { cause: error });
  });
  try {
    const { size } = await handle.stat();
    const { header, dataStart } = await readHeader(handle, file, size);
    const { __metadata__: metadata = {}, ...tensors } = header as Record<string, HeaderEntry> & { __metadata__?: Record<string, string> };
    const entries = new Map<string, TensorEntry>();
    for (const [name, entry] of Object.entries(tensors)) entries.set(name, checkEntry(file, size, dataStart, name, entry));
    return new SafetensorsFile([file], entries, metadata);
  } finally {
    await handle.close();
  }
}

async function readHeader(handle: FileHandle, file: string, size: number): Promise<{ header: object; dataStart: number }> {
  const broken = (what: string): UserError => new UserError(`${file}: not a complete safetensors file: ${what}; download or write it again`);
  const lead = Buffer.alloc(8);
  if (size < 8 || (await handle.read(lead, 0, 8, 0)).bytesRead < 8) throw broken(`it has ${size} bytes`);
  const length = Number(lead.readBigUInt64LE());
  if (length > MAX_HEADER || 8 + length > size) throw broken(`its header should have ${length} bytes, the file has ${size}`);
  const text = Buffer.alloc(length);
  await handle.read(text, 0, length, 8);
  try {
    const header: unknown = JSON.parse(text.toString('utf8'));
    if (typeof header !== 'object' || header === null || Array.isArray(header)) throw new SyntaxError('not an object');
    return { header, dataStart: 8 + length };
  } catch (error) {
    throw broken(`its header is not JSON (${(error as Error).message})`);
  }
}

function checkEntry(file: string, size: number, dataStart: number, name: string, entry: HeaderEntry): TensorEntry {
  const broken = (what: string): UserError => new UserError(`${file}: tensor "${name}": ${what}; download or write the file again`);
  const dtype = DTYPES[entry?.dtype];
  if (!dtype) throw new UserError(`${file}: tensor "${name}": dtype ${JSON.stringify(entry?.dtype)} is not supported; one of ${Object.keys(DTYPES).join(', ')}`);
  const shapeOk = Array.isArray(entry.shape) && entry.shape.every((d) => Number.isSafeInteger(d) && d >= 0);
  if (!shapeOk || !Array.isArray(entry.data_offsets)) throw broken('its header entry has no valid shape and data_offsets');
  const [begin, end] = entry.data_offsets;
  const bytes = sizeOf(entry.shape) * bytesPerElement[dtype];
  if (!(begin >= 0 && end - begin === bytes)) throw broken(`shape [${entry.shape}] ${dtype} needs ${bytes} bytes, data_offsets give ${end - begin}`);
  if (dataStart + end > size) throw broken(`its data ends at byte ${dataStart + end}, the file at ${size} (truncated)`);
  return { name, dtype, shape: entry.shape, file, offset: dataStart + begin, bytes };
}

/** Entries of one or several files. */
export class SafetensorsFile implements WeightFile {
  constructor(readonly files: readonly string[], readonly entries: ReadonlyMap<string, TensorEntry>, readonly metadata: Readonly<Record<string, string>>) {}

  async read(name: string): Promise<HostTensor> {
    const entry = this.entries.get(name);
    if (!entry) throw new UserError(`${this.files.join(', ')}: no tensor "${name}"`);
    return readEntry(entry);
  }

  async readFloat32(name: string): Promise<HostTensor> {
    return toFloat32(await this.read(name));
  }
}

/** The values of one tensor. */
export async function readEntry({ file, offset, bytes, dtype, shape }: TensorEntry): Promise<HostTensor> {
  const handle = await open(file);
  try {
    const data = new ArrayBuffer(bytes), whole = new Uint8Array(data);
    for (let at = 0; at < bytes; ) {
      const { bytesRead } = await handle.read(whole, at, Math.min(MAX_IO, bytes - at), offset + at);
      if (bytesRead === 0) throw new UserError(`${file}: ends before byte ${offset + bytes}; it changed while it was open, write it again`);
      at += bytesRead;
    }
    return { dtype, shape, data: typed(data, dtype) };
  } finally {
    await handle.close();
  }
}

function typed(data: ArrayBuffer, dtype: DType): TypedArray {
  if (dtype === 'float32') return new Float32Array(data);
  if (dtype === 'int32') return new Int32Array(data);
  if (dtype === 'int64') return new BigInt64Array(data);
  return dtype === 'float16' || dtype === 'bfloat16' ? new Uint16Array(data) : new Uint8Array(data);
}

export interface TensorSpec { readonly name: string; readonly dtype: DType; readonly shape: Shape }

/** Writes a file, whole or not at all. Tensors are laid out by element size, largest first, then by name. */
export async function writeSafetensors(path: string, tensors: Readonly<Record<string, HostTensor>>, metadata: Readonly<Record<string, string>> = {}): Promise<void> {
  const specs = Object.entries(tensors).map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  await writeSafetensorsStream(path, specs, ({ name }) => tensors[name], metadata);
}

/** As `writeSafetensors`, with one tensor in memory at a time. `produce` is called in file order. */
export async function writeSafetensorsStream(
  path: string, specs: readonly TensorSpec[], produce: (spec: TensorSpec) => HostTensor | Promise<HostTensor>, metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const order = [...specs].sort((a, b) => bytesPerElement[b.dtype] - bytesPerElement[a.dtype] || (a.name < b.name ? -1 : 1));
  let offset = 0;
  const header: Record<string, object> = Object.keys(metadata).length > 0 ? { __metadata__: metadata } : {};
  for (const { name, dtype, shape } of order) {
    const end = offset + sizeOf(shape) * bytesPerElement[dtype];
    header[name] = { dtype: NAMES[dtype], shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const lead = Buffer.alloc(8);
  lead.writeBigUInt64LE(BigInt(padded.length));

  const aside = `${path}.${process.pid}.tmp`;
  const handle = await open(aside, 'w');
  try {
    await handle.write(Buffer.concat([lead, padded]));
    for (const spec of order) {
      const { data, dtype } = await produce(spec);
      if (dtype !== spec.dtype || data.length !== sizeOf(spec.shape)) throw new Error(`${path}: tensor "${spec.name}" is ${data.length} ${dtype}, announced as [${spec.shape}] ${spec.dtype}`);
      await writeAll(handle, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    await handle.sync();
  } catch (error) {
    await handle.close();
    await rm(aside, { force: true });
    throw error;
  }
  await handle.close();
  await rename(aside, path);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at, Math.min(MAX_IO, bytes.length - at))).bytesWritten;
}
