/**
 * The directory of a zip file whose entries are stored, not compressed, as torch.save writes them. Only the directory is
 * read, so the file may have any size (zip64 included). Format: PKWARE APPNOTE 6.3.
 */
import type { FileHandle } from 'node:fs/promises';
import { FileError, type UserError } from '../../base/errors.js';
import { readFully } from '../safetensors/safetensors.js';

export interface ZipEntry {
  readonly name: string;
  /** of the local header that precedes the data */
  readonly headerOffset: number;
  readonly bytes: number;
  readonly crc32: number;
}

const END = 0x06054b50,
  END64_LOCATOR = 0x07064b50,
  END64 = 0x06064b50,
  CENTRAL = 0x02014b50,
  LOCAL = 0x04034b50;
const END_BYTES = 22,
  LOCATOR_BYTES = 20,
  END64_BYTES = 56,
  CENTRAL_BYTES = 46,
  LOCAL_BYTES = 30;
/** The end record may be followed by a comment of up to 64 kB. */
const MAX_TAIL = END_BYTES + 0xffff;
/** A directory entry takes about 100 bytes; a model has a few thousand. */
const MAX_DIRECTORY = 64 * 2 ** 20;
/** These 16- and 32-bit values say that the real one is in a zip64 record. */
const IN_ZIP64 = 0xffffffff,
  IN_ZIP64_SHORT = 0xffff;

/** @throws UserError when the directory is damaged, or an entry is compressed or encrypted */
export async function readZipDirectory(handle: FileHandle, file: string, size: number): Promise<Map<string, ZipEntry>> {
  const { offset, bytes, count } = await findDirectory(handle, file, size);
  if (offset + bytes > size || bytes > MAX_DIRECTORY)
    throw damaged(file, `its directory has ${bytes} bytes at ${offset}, the file ${size}`);
  const directory = Buffer.alloc(bytes);
  await readFully(handle, file, directory, offset);
  const entries = new Map<string, ZipEntry>();
  for (let at = 0; at < bytes;) {
    if (at + CENTRAL_BYTES > bytes || directory.readUInt32LE(at) !== CENTRAL)
      throw damaged(file, `its directory breaks off at entry ${entries.size}`);
    const next =
      at +
      CENTRAL_BYTES +
      directory.readUInt16LE(at + 28) +
      directory.readUInt16LE(at + 30) +
      directory.readUInt16LE(at + 32);
    if (next > bytes) throw damaged(file, `its directory breaks off at entry ${entries.size}`);
    const entry = parseEntry(directory.subarray(at, next), file, size);
    if (entries.has(entry.name)) throw damaged(file, `it has two entries "${entry.name}"`);
    entries.set(entry.name, entry);
    at = next;
  }
  if (entries.size !== count) throw damaged(file, `its directory has ${entries.size} entries, announced are ${count}`);
  return entries;
}

const damaged = (file: string, what: string): UserError =>
  new FileError(`${file}: damaged zip file: ${what}; download or save it again`);
const number = (bytes: Buffer, at: number): number => Number(bytes.readBigUInt64LE(at));

async function findDirectory(
  handle: FileHandle,
  file: string,
  size: number,
): Promise<{ offset: number; bytes: number; count: number }> {
  const tail = Buffer.alloc(Math.min(size, MAX_TAIL));
  await readFully(handle, file, tail, size - tail.length);
  let at = tail.length - END_BYTES;
  while (at >= 0 && tail.readUInt32LE(at) !== END) at--;
  if (at < 0) throw damaged(file, `it has no directory at its end (${size} bytes, cut off?)`);
  const plain = {
    offset: tail.readUInt32LE(at + 16),
    bytes: tail.readUInt32LE(at + 12),
    count: tail.readUInt16LE(at + 10),
  };
  const locator = at - LOCATOR_BYTES;
  if (locator < 0 || tail.readUInt32LE(locator) !== END64_LOCATOR) return plain;

  const record = Buffer.alloc(END64_BYTES),
    position = number(tail, locator + 8);
  if (position + END64_BYTES > size) throw damaged(file, `its zip64 record should be at byte ${position} of ${size}`);
  await readFully(handle, file, record, position);
  if (record.readUInt32LE(0) !== END64) throw damaged(file, `it has no zip64 record at byte ${position}`);
  return {
    offset: plain.offset === IN_ZIP64 ? number(record, 48) : plain.offset,
    bytes: plain.bytes === IN_ZIP64 ? number(record, 40) : plain.bytes,
    count: plain.count === IN_ZIP64_SHORT ? number(record, 32) : plain.count,
  };
}

function parseEntry(central: Buffer, file: string, size: number): ZipEntry {
  const nameEnd = CENTRAL_BYTES + central.readUInt16LE(28);
  const name = central.toString('utf8', CENTRAL_BYTES, nameEnd);
  const refuse = (what: string): UserError =>
    new FileError(`${file}: zip entry "${name}" ${what}, which torch.save never writes; save it again with torch.save`);
  if (central.readUInt16LE(8) & 1) throw refuse('is encrypted');
  if (central.readUInt16LE(10) !== 0) throw refuse(`is compressed (method ${central.readUInt16LE(10)})`);
  // A zip64 field holds, in this order, those of the three values that did not fit.
  const long = zip64Field(central.subarray(nameEnd, nameEnd + central.readUInt16LE(30)));
  let used = 0;
  const value = (at: number): number => {
    const short = central.readUInt32LE(at);
    if (short !== IN_ZIP64) return short;
    if (used + 8 > long.length) throw damaged(file, `entry "${name}" lacks its zip64 sizes`);
    return number(long, (used += 8) - 8);
  };
  const bytes = value(24),
    stored = value(20),
    headerOffset = value(42);
  if (stored !== bytes) throw refuse(`has ${stored} bytes for ${bytes}`);
  if (headerOffset + LOCAL_BYTES + bytes > size)
    throw damaged(file, `entry "${name}" ends at byte ${headerOffset + LOCAL_BYTES + bytes}, the file at ${size}`);
  return { name, headerOffset, bytes, crc32: central.readUInt32LE(16) };
}

/** The content of extra field 1. */
function zip64Field(extra: Buffer): Buffer {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) === 1) return extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2));
  }
  return Buffer.alloc(0);
}

/** Position of an entry's first data byte: torch pads the local header so that data is aligned. */
export async function zipDataOffset(handle: FileHandle, file: string, entry: ZipEntry): Promise<number> {
  const local = Buffer.alloc(LOCAL_BYTES);
  await readFully(handle, file, local, entry.headerOffset);
  if (local.readUInt32LE(0) !== LOCAL)
    throw damaged(file, `entry "${entry.name}" has no header at byte ${entry.headerOffset}`);
  return entry.headerOffset + LOCAL_BYTES + local.readUInt16LE(26) + local.readUInt16LE(28);
}
