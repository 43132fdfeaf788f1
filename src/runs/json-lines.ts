/** A file of JSON lines that grows: only what came since the last look is read. */
import { open, stat, type FileHandle } from 'node:fs/promises';

export type Row = Readonly<Record<string, unknown>>;

/** What is done with the rows. */
export interface RowSink {
  /** the file is another one than before, or shorter: all rows come again */
  restart(): void;
  add(row: Row): void;
}

const CHUNK = 1 << 20;
const NEWLINE = 0x0a;

export class JsonLines {
  /** of the file that was read */
  private inode: number | undefined;
  /** bytes that were read, without a last line that was not whole */
  private offset = 0;
  private turn: Promise<void> = Promise.resolve();

  constructor(
    private readonly path: string,
    private readonly sink: RowSink,
  ) {}

  /** Hands on the rows that are new. A file that is not there has none; a line that is no JSON object is left out. */
  read(): Promise<void> {
    this.turn = this.turn.catch(() => undefined).then(() => this.readNow());
    return this.turn;
  }

  private async readNow(): Promise<void> {
    const file = await openFile(this.path);
    if (!file) {
      if (this.inode !== undefined) this.restart(undefined);
      return;
    }
    try {
      const { ino, size } = await file.stat();
      // A resumed run writes the file anew, without what it will do again.
      if (ino !== this.inode || size < this.offset) this.restart(ino);
      let rest = Buffer.alloc(0);
      for (let at = this.offset; at < size;) {
        const chunk = Buffer.alloc(Math.min(CHUNK, size - at));
        const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
        if (bytesRead === 0) break;
        at += bytesRead;
        rest = this.take(Buffer.concat([rest, chunk.subarray(0, bytesRead)]));
      }
    } finally {
      await file.close();
    }
  }

  /** @returns the beginning of a line whose end is still to come */
  private take(bytes: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    for (const line of bytes.toString('utf8', 0, end).split('\n')) {
      const row = parseRow(line);
      if (row) this.sink.add(row);
    }
    this.offset += end;
    return bytes.subarray(end);
  }

  private restart(inode: number | undefined): void {
    this.inode = inode;
    this.offset = 0;
    this.sink.restart();
  }
}

/** The last rows of a file. @param bytes how far back is looked */
export async function lastRows(path: string, bytes: number): Promise<Row[]> {
  const file = await openFile(path);
  if (!file) return [];
  try {
    const { size } = await file.stat(),
      from = Math.max(0, size - bytes),
      tail = Buffer.alloc(size - from);
    const { bytesRead } = await file.read(tail, 0, tail.length, from);
    const lines = tail.toString('utf8', 0, bytesRead).split('\n').slice(0, -1);
    return lines.slice(from > 0 ? 1 : 0).flatMap((line) => toList(parseRow(line)));
  } finally {
    await file.close();
  }
}

const toList = <T>(value: T | undefined): T[] => (value === undefined ? [] : [value]);

/** A regular file: opening a pipe would wait for its writer. */
async function openFile(path: string): Promise<FileHandle | undefined> {
  const info = await stat(path).catch(() => undefined);
  return info?.isFile() ? open(path, 'r').catch(() => undefined) : undefined;
}

/** undefined for a line that a crash has torn */
function parseRow(line: string): Row | undefined {
  if (line === '') return undefined;
  try {
    const row: unknown = JSON.parse(line);
    return typeof row === 'object' && row !== null && !Array.isArray(row) ? (row as Row) : undefined;
  } catch {
    return undefined;
  }
}
