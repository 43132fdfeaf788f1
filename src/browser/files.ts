/** Where a browser reads files from. */
import { FileError } from '../base/errors.js';

/** The bytes of a file by its path below the folder; undefined when it is not there. */
export type ReadFile = (path: string) => Promise<Uint8Array | undefined>;

/** A folder that a server offers, or a function that reads files from elsewhere (a `File` list, OPFS, IndexedDB). */
export type Folder = string | URL | ReadFile;

export class Files {
  private readonly source: ReadFile;
  /** for messages */
  readonly name: string;
  /** all files that are there; undefined when nobody says */
  private listed: ReadonlySet<string> | undefined;

  constructor(folder: Folder, signal?: AbortSignal) {
    this.source = typeof folder === 'function' ? folder : fetched(folder, signal);
    this.name = typeof folder === 'function' ? '' : `${String(folder).replace(/\/$/, '')}/`;
  }

  /** From now on nothing else is asked for: some servers answer with a page where a file is missing. */
  limitTo(paths: readonly string[]): void {
    this.listed = new Set(paths);
  }

  at(path: string): string {
    return `${this.name}${path}`;
  }

  async find(path: string): Promise<Uint8Array | undefined> {
    return this.listed && !this.listed.has(path) ? undefined : this.source(path);
  }

  async text(path: string): Promise<string | undefined> {
    const bytes = await this.find(path);
    return bytes && new TextDecoder().decode(bytes);
  }

  /** @throws UserError FILE_NOT_FOUND @param why it is needed, for the message */
  async bytes(path: string, why: string): Promise<Uint8Array> {
    const bytes = await this.find(path);
    if (!bytes) throw new FileError(`${this.at(path)}: missing; ${why}`, { code: 'FILE_NOT_FOUND' });
    return bytes;
  }

  /** @throws UserError when it is missing or no JSON object */
  async json(path: string, why: string): Promise<Record<string, unknown>> {
    const found = await this.findJson(path);
    if (!found) throw new FileError(`${this.at(path)}: missing; ${why}`, { code: 'FILE_NOT_FOUND' });
    return found;
  }

  /** undefined also where a server answers with a page */
  async findJson(path: string): Promise<Record<string, unknown> | undefined> {
    const text = await this.text(path);
    if (text === undefined || text.trimStart().startsWith('<')) return undefined;
    try {
      return JSON.parse(text) as Record<string, unknown>;
    } catch (error) {
      throw new FileError(`${this.at(path)}: not JSON (${(error as Error).message}); copy it again`, { cause: error });
    }
  }
}

const fetched =
  (folder: string | URL, signal: AbortSignal | undefined): ReadFile =>
  async (path) => {
    const address = `${String(folder).replace(/\/$/, '')}/${path}`,
      answer = await fetch(address, signal ? { signal } : {});
    if (answer.status === 404) return undefined;
    if (!answer.ok) throw new FileError(`${address}: the server answers ${answer.status} ${answer.statusText}`);
    return new Uint8Array(await answer.arrayBuffer());
  };
