/**
 * The header of a safetensors file: 8 bytes of length, then JSON of names, dtypes, shapes and byte ranges.
 * Format: https://github.com/huggingface/safetensors#format
 */
import type { FileHandle } from 'node:fs/promises';
import { FileError, type UserError } from '../../base/errors.js';
import { refuseLfsPointer } from '../../base/lfs-pointer.js';
import { bytesPerElement, sizeOf, type DType, type Shape } from '../../tensor/host.js';
import type { TensorEntry } from '../weight-file.js';

const DTYPES: Readonly<Record<string, DType>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I32: 'int32',
  I64: 'int64',
  U8: 'uint8',
  BOOL: 'bool',
};
const NAMES = Object.fromEntries(Object.entries(DTYPES).map(([k, v]) => [v, k])) as Record<DType, string>;
/** The library's order of dtypes in a file: wider first, so that every tensor is aligned. */
const RANK: readonly DType[] = ['int64', 'float32', 'int32', 'bfloat16', 'float16', 'uint8', 'bool'];
/** The library's own limit. */
const MAX_HEADER = 100 * 2 ** 20;

export interface TensorSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}
export interface Header {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads and checks the header of an open file of `size` bytes.
 * @throws UserError naming the file, the tensor and the numbers that do not fit
 */
export async function readHeader(handle: FileHandle, file: string, size: number): Promise<Header> {
  const broken = (what: string): UserError =>
    new FileError(`${file}: not a complete safetensors file: ${what}; download or write it again`);
  const lead = Buffer.alloc(Math.min(size, 32));
  await handle.read(lead, 0, lead.length, 0);
  refuseLfsPointer(lead, file, 'the weights', size);
  if (size < 8) throw broken(`it has ${size} bytes`);
  const length = Number(lead.readBigUInt64LE());
  if (length > MAX_HEADER || 8 + length > size)
    throw broken(`its header should have ${length} bytes, the file has ${size}`);
  const text = Buffer.alloc(length);
  await handle.read(text, 0, length, 8);
  return headerOf(text.toString('utf8'), file, size, 8 + length);
}

/**
 * What the JSON of a header says, checked.
 * @param size of the file in bytes @param dataStart where tensors begin
 * @throws UserError as `readHeader`
 */
export function headerOf(text: string, file: string, size: number, dataStart: number): Header {
  const header = parse(
    text,
    (what) => new FileError(`${file}: not a complete safetensors file: ${what}; download or write it again`),
  );
  const entries: TensorEntry[] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name !== '__metadata__') entries.push(checkEntry(file, size, dataStart, name, entry));
  }
  checkLayout(file, size, dataStart, entries);
  return { entries: new Map(entries.map((e) => [e.name, e])), metadata: stringsOf(header.__metadata__) };
}

function parse(text: string, broken: (what: string) => UserError): Record<string, unknown> {
  try {
    const header: unknown = JSON.parse(text);
    if (typeof header === 'object' && header !== null && !Array.isArray(header))
      return header as Record<string, unknown>;
  } catch (error) {
    throw broken(`its header is not JSON (${(error as Error).message})`);
  }
  throw broken('its header is not a JSON object');
}

function stringsOf(metadata: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata ?? {}).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  );
}

const isCount = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0;

function checkEntry(file: string, size: number, dataStart: number, name: string, raw: unknown): TensorEntry {
  const entry = (raw ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  const broken = (what: string): UserError =>
    new FileError(`${file}: tensor "${name}": ${what}; download or write the file again`);
  const dtype = typeof entry.dtype === 'string' && Object.hasOwn(DTYPES, entry.dtype) ? DTYPES[entry.dtype] : undefined;
  if (!dtype)
    throw new FileError(
      `${file}: tensor "${name}": dtype ${JSON.stringify(entry.dtype) ?? '(missing)'} is not supported; store it as one of ${Object.keys(DTYPES).join(', ')}`,
    );
  const { shape, data_offsets: range } = entry;
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw broken(`its shape is ${JSON.stringify(shape) ?? 'missing'}, not a list of sizes`);
  if (!Array.isArray(range) || range.length !== 2 || !range.every(isCount))
    throw broken(`its data_offsets are ${JSON.stringify(range) ?? 'missing'}, not [begin, end]`);
  const [begin, end] = range as [number, number];
  const bytes = sizeOf(shape) * bytesPerElement[dtype];
  if (end - begin !== bytes)
    throw broken(`shape [${shape}] ${dtype} needs ${bytes} bytes, data_offsets [${begin},${end}] give ${end - begin}`);
  if (dataStart + end > size) throw broken(`its data ends at byte ${dataStart + end}, the file at ${size} (truncated)`);
  return { name, dtype, shape, file, offset: dataStart + begin, bytes };
}

/** The format wants the tensors back to back, from the header's end to the file's end. */
function checkLayout(file: string, size: number, dataStart: number, entries: readonly TensorEntry[]): void {
  let at = dataStart,
    last = 'the header';
  for (const { name, offset, bytes } of [...entries].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    if (offset !== at) {
      const what = offset < at ? `overlaps ${last}` : `leaves a gap after ${last}`;
      throw new FileError(
        `${file}: tensor "${name}": starts at byte ${offset}, which ${what} (ends at ${at}); download or write the file again`,
      );
    }
    at += bytes;
    last = `"${name}"`;
  }
  if (at !== size)
    throw new FileError(
      `${file}: has ${size - at} bytes after its last tensor (${last}, ends at ${at}); download or write the file again`,
    );
}

/**
 * Lays tensors out by dtype, widest first, then by name.
 * @returns the specs in file order, and the file's first bytes: length and JSON, padded with spaces to a multiple of 8
 */
export function layOut(
  specs: readonly TensorSpec[],
  metadata: Readonly<Record<string, string>>,
): { order: TensorSpec[]; head: Buffer } {
  const order = [...specs].sort((a, b) => RANK.indexOf(a.dtype) - RANK.indexOf(b.dtype) || (a.name < b.name ? -1 : 1));
  const header: [string, object][] = Object.keys(metadata).length > 0 ? [['__metadata__', metadata]] : [];
  let begin = 0;
  for (const { name, dtype, shape } of order) {
    const end = begin + sizeOf(shape) * bytesPerElement[dtype];
    header.push([name, { dtype: NAMES[dtype], shape, data_offsets: [begin, end] }]);
    begin = end;
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(header)));
  const padded = Math.ceil(json.length / 8) * 8;
  const head = Buffer.alloc(8 + padded, ' ');
  head.writeBigUInt64LE(BigInt(padded));
  json.copy(head, 8);
  return { order, head };
}
