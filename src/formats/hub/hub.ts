/**
 * Models and datasets by folder or by id (`segmind/small-sd`). Ids are downloaded into the standard cache of the Hugging
 * Face hub, which Python's tools share: only the files needed, resumable, checked, and usable offline afterwards.
 */
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type * as Hub from '@huggingface/hub';
import { writeFileAtomic } from '../../base/atomic-file.js';
import { Interrupted, UserError } from '../../base/errors.js';
import { resolvePackagePath } from '../../base/package-path.js';
import type { Logger } from '../../base/logger.js';
import { openCheckpoint } from '../single-file/open-checkpoint.js';
import { fetchIntoCache, reason, type DownloadSettings, type RemoteFile } from './hub-download.js';
import { datasetFiles, modelFiles } from './hub-files.js';
import { nameOf, proxiedFetch, proxyFor } from './proxy.js';

export interface DownloadProgress {
  readonly id: string;
  readonly loadedBytes: number;
  readonly totalBytes: number;
  readonly files: number;
}

export interface ResolveOptions {
  /** chooses among the repository's paths; by default what training needs */
  readonly files?: (paths: readonly string[]) => string[];
  /** by default `$HF_HUB_CACHE`, `$HF_HOME/hub` or `~/.cache/huggingface/hub` */
  readonly cacheDir?: string;
  /** use the cache only; by default `$HF_HUB_OFFLINE` */
  readonly offline?: boolean;
  readonly log?: Logger;
  /** stops the download; what is there stays for the next time */
  readonly signal?: AbortSignal | undefined;
  /** by default a line in the log now and then */
  readonly progress?: (progress: DownloadProgress) => void;
  /** of a single-file checkpoint: the pipeline folder that has its configs and tokenizer */
  readonly config?: string;
  /** e.g. `fp16`: weights `<stem>.fp16.*` where there are such */
  readonly variant?: string;
  /** is shown what is missing before any of it is fetched; may throw, and nothing is */
  readonly beforeDownload?: (missing: readonly { readonly path: string; readonly size: number }[]) => void;
  /** wait before a broken download goes on */
  readonly retryDelayMs?: number;
}

interface Repo {
  readonly type: 'model' | 'dataset';
  readonly name: string;
}
interface Access {
  readonly hub: typeof Hub;
  readonly hubUrl: string;
  readonly accessToken: string | undefined;
  readonly fetch: typeof fetch;
  /** without a limit of time */
  readonly download: typeof fetch;
}

/** Files at a time. */
const LANES = 4;
const API_TIMEOUT_MS = 30_000,
  LOG_INTERVAL_MS = 10_000;

/**
 * The local folder of a model. `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `HF_HUB_CACHE` and `HF_HUB_OFFLINE` are respected.
 * @throws UserError saying what to do when it is neither a folder nor to be had
 */
export const resolveModel = (idOrPath: string, options: ResolveOptions = {}): Promise<string> =>
  resolveRepo(idOrPath, 'model', (paths) => modelFiles(paths, options.variant, idOrPath), options);

/** The local folder of a dataset: pictures with their tables, or parquet files. As `resolveModel`. */
export const resolveDataset = (idOrPath: string, options: ResolveOptions = {}): Promise<string> =>
  resolveRepo(idOrPath, 'dataset', datasetFiles, options);

async function resolveRepo(
  given: string,
  type: Repo['type'],
  choose: (paths: readonly string[]) => string[],
  options: ResolveOptions,
): Promise<string> {
  const idOrPath = resolvePackagePath(given); // `package:assets/...` of the built-in configs
  const local = await stat(idOrPath).catch(() => undefined);
  if (local?.isDirectory()) return resolve(idOrPath);
  if (local && type === 'model') return openCheckpoint(idOrPath, { config: options.config, log: options.log });
  if (local) throw new UserError(`${idOrPath}: a file; give the folder of the ${type}, or an id of the hub`);
  if (!/^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(idOrPath))
    throw new UserError(`${idOrPath}: no such folder, and an id of the hub looks like "owner/name"; check the path`, {
      code: 'FILE_NOT_FOUND',
    });

  const hub = await import('@huggingface/hub'); // only now: it is large, and local folders do not need it
  const repo: Repo = { type, name: idOrPath },
    cacheDir = options.cacheDir ?? hub.getHFHubCachePath();
  const storage = join(cacheDir, hub.getRepoFolderName(repo));
  if (options.offline ?? isSet(process.env.HF_HUB_OFFLINE)) {
    const cached = await cachedSnapshot(storage);
    if (cached) return cached;
    throw new UserError(
      `${idOrPath}: no such folder, and not in the cache ${cacheDir} while offline (HF_HUB_OFFLINE); download it once, or give a local folder`,
      { code: 'DOWNLOAD_FAILED' },
    );
  }
  const get = await proxiedFetch();
  const access: Access = {
    hub,
    hubUrl: (process.env.HF_ENDPOINT || hub.HUB_URL).replace(/\/+$/, ''),
    accessToken: process.env.HF_TOKEN || undefined,
    download: get,
    fetch: (url, init) => get(url, { ...init, signal: AbortSignal.timeout(API_TIMEOUT_MS) }),
  };
  let listing: Listing;
  try {
    listing = await list(access, repo);
  } catch (error) {
    if (error instanceof UserError) throw error; // of the proxy's name
    const problem = explain(error, access, repo),
      cached = await cachedSnapshot(storage);
    if (!cached)
      throw new UserError(`${idOrPath}: no such folder, and ${problem}`, { cause: error, code: 'DOWNLOAD_FAILED' });
    options.log?.warn(`${idOrPath}: using the copy in the cache, ${cached}: ${problem}`);
    return cached;
  }
  return download(access, repo, storage, listing, { ...options, files: options.files ?? choose });
}

const isSet = (value: string | undefined): boolean => /^(1|true|yes|on)$/i.test(value ?? '');

/** The snapshot that `main` had when its download was last complete. */
async function cachedSnapshot(storage: string): Promise<string | undefined> {
  const commit = await readFile(join(storage, 'refs', 'main'), 'utf8').catch(() => '');
  const snapshot = join(storage, 'snapshots', commit.trim());
  return commit.trim() !== '' && (await stat(snapshot).catch(() => undefined))?.isDirectory() ? snapshot : undefined;
}

interface Listing {
  readonly commit: string;
  readonly entries: readonly Hub.ListFileEntry[];
}

async function list({ hub, hubUrl, accessToken, fetch: get }: Access, repo: Repo): Promise<Listing> {
  const about = {
    name: repo.name,
    revision: 'main',
    additionalFields: ['sha' as const],
    hubUrl,
    accessToken,
    fetch: get,
  };
  const { sha: commit } = repo.type === 'model' ? await hub.modelInfo(about) : await hub.datasetInfo(about);
  if (!/^[0-9a-f]{40}$/.test(commit)) throw new hub.InvalidApiResponseFormatError(`commit ${JSON.stringify(commit)}`);
  const entries: Hub.ListFileEntry[] = [];
  for await (const entry of hub.listFiles({
    repo,
    recursive: true,
    revision: commit,
    hubUrl,
    accessToken,
    fetch: get,
  })) {
    if (entry.type === 'file') entries.push(entry);
  }
  return { commit, entries };
}

/** One line: what the hub said, and what to do. */
function explain(error: unknown, { hub, hubUrl }: Access, { type, name }: Repo): string {
  const page = `${hubUrl}/${type === 'dataset' ? 'datasets/' : ''}${name}`;
  if (error instanceof hub.HubApiError && error.statusCode === 404)
    return `the hub at ${hubUrl} has no ${type} of that name (404); check the spelling, or give a local folder`;
  if (error instanceof hub.HubApiError && (error.statusCode === 401 || error.statusCode === 403)) {
    return `${page} answers ${error.statusCode}: misspelt, private or gated; check the name, or accept its terms there and set HF_TOKEN`;
  }
  if (error instanceof TypeError && error.message.includes("'hf_'"))
    return `HF_TOKEN is not a token of the hub (they start with "hf_"); correct or unset it`;
  const what = error instanceof hub.HubApiError ? `status ${error.statusCode}` : reason(error),
    proxy = proxyFor(hubUrl);
  const way = proxy === undefined ? '' : ` through the proxy ${nameOf(proxy)}`;
  return `the hub at ${hubUrl} cannot be reached${way} (${what}); give a local folder, set HF_ENDPOINT to a mirror, or copy a cache that has it and set HF_HOME`;
}

async function download(
  access: Access,
  repo: Repo,
  storage: string,
  { commit, entries }: Listing,
  options: ResolveOptions & Required<Pick<ResolveOptions, 'files'>>,
): Promise<string> {
  const snapshot = join(storage, 'snapshots', commit),
    byPath = new Map(entries.map((e) => [e.path, e]));
  const files = options.files([...byPath.keys()]).map((path) => remoteFile(access, repo, commit, byPath.get(path)!));
  if (files.length === 0) {
    throw new UserError(
      `${repo.name}: the ${repo.type} on ${access.hubUrl} has none of the files needed; it has ${[...byPath.keys()].slice(0, 8).join(', ') || 'none at all'}`,
      { code: 'DOWNLOAD_FAILED' },
    );
  }
  const present = await Promise.all(
    files.map(async ({ path, size }) => (await stat(join(snapshot, path)).catch(() => undefined))?.size === size),
  );
  const missing = files.filter((_, i) => !present[i]);
  if (missing.length > 0) {
    options.beforeDownload?.(missing);
    const totalBytes = missing.reduce((sum, f) => sum + f.size, 0),
      report = options.progress ?? logProgress(options.log);
    options.log?.info(`${repo.name}: downloading ${missing.length} files, ${megabytes(totalBytes)}, into ${snapshot}`);
    let loadedBytes = 0;
    await inLanes(missing, options.signal, (file, signal) =>
      fetchIntoCache(storage, snapshot, file, {
        fetch: access.download,
        headers: access.accessToken ? { Authorization: `Bearer ${access.accessToken}` } : {},
        signal,
        retryDelayMs: options.retryDelayMs ?? 1000,
        onBytes: (count) =>
          report({ id: repo.name, loadedBytes: (loadedBytes += count), totalBytes, files: missing.length }),
      } satisfies DownloadSettings),
    );
  }
  // Last, so that the name never points to an unfinished download.
  if ((await cachedSnapshot(storage)) !== snapshot) await writeFileAtomic(join(storage, 'refs', 'main'), commit);
  return snapshot;
}

/** @throws UserError for names that would leave the cache folder */
function remoteFile(
  { hubUrl }: Access,
  { type, name }: Repo,
  commit: string,
  { path, size, oid, lfs, xetHash }: Hub.ListFileEntry,
): RemoteFile {
  const etag = lfs?.oid ?? xetHash ?? oid ?? '';
  const safe = path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && !/[\\:\0]/.test(part));
  if (!safe || !/^[0-9a-f]{40,64}$/.test(etag))
    throw new UserError(
      `${name}: the hub lists ${JSON.stringify(path)} with checksum ${JSON.stringify(etag)}, which is not safe to store; do not use it`,
      { code: 'DOWNLOAD_FAILED' },
    );
  return {
    path,
    size,
    etag,
    url: `${hubUrl}/${type === 'dataset' ? 'datasets/' : ''}${name}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`,
    checksum: lfs
      ? { algorithm: 'sha256', value: lfs.oid }
      : xetHash
        ? undefined
        : { algorithm: 'git-sha1', value: etag },
  };
}

/** Some at a time; the first failure, or the caller, stops the others, and all have stopped when it is thrown. */
async function inLanes(
  files: readonly RemoteFile[],
  asked: AbortSignal | undefined,
  work: (file: RemoteFile, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController(),
    queue = files.values();
  const pass = (): void =>
    stop.abort(
      new Interrupted('download: stopped, as asked; it goes on from there next time', { cause: asked?.reason }),
    );
  asked?.addEventListener('abort', pass, { once: true });
  if (asked?.aborted) pass();
  const lane = async (): Promise<void> => {
    for (const file of queue) {
      if (stop.signal.aborted) return;
      await work(file, stop.signal).catch((error: unknown) => {
        stop.abort(error);
        throw stop.signal.reason;
      });
    }
  };
  await Promise.allSettled(Array.from({ length: LANES }, lane));
  asked?.removeEventListener('abort', pass);
  if (stop.signal.aborted) throw stop.signal.reason;
}

const megabytes = (bytes: number): string =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;

function logProgress(log: Logger | undefined): (progress: DownloadProgress) => void {
  let last = Date.now();
  return ({ id, loadedBytes, totalBytes }) => {
    if (Date.now() - last < LOG_INTERVAL_MS) return;
    last = Date.now();
    log?.info(
      `${id}: ${megabytes(loadedBytes)} of ${megabytes(totalBytes)} (${Math.floor((100 * loadedBytes) / totalBytes)} %)`,
    );
  };
}
