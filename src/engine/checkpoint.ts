/**
 * A checkpoint is a folder `step<iteration>`: the training state, a record of the run, and what hooks add (adapters).
 * It is written aside, synced and renamed, so that a folder of that name is always complete. `last_checkpoint` names the
 * one that `--resume` continues from, and changes only after the new one is safe.
 */
import { createHash } from 'node:crypto';
import { lstat, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { StateStore } from '../backends/backend.js';
import { UserError } from '../base/errors.js';
import { syncFile } from '../base/sync-file.js';
import { openSafetensors, writeSafetensorsStream } from '../formats/safetensors/safetensors.js';
import type { Shape } from '../tensor/host.js';
import { changedOptions } from './config-changes.js';
import { RECORD_FILE } from '../formats/run-record.js';
import type { Evaluation } from './run-state.js';
import { OLD, readable, TMP, type WorkDir } from './work-dir.js';

const STATE_FILE = 'training_state.safetensors';
const POINTER = 'last_checkpoint',
  BEST = 'best_checkpoint';

/** What a checkpoint says of its run, in `run.json`. */
export interface RunRecord {
  /** 0-based, the last iteration that is in the state */
  readonly iteration: number;
  readonly seed: number;
  /** iterations whose gradients wait in the accumulator for an update */
  readonly accumulated: number;
  /** processes that trained together; absent in older checkpoints, of one */
  readonly ranks?: number;
  /** of the frozen weights; another base cannot go on from here */
  readonly model_fingerprint: string;
  /** shared by a run and its continuations: only their own checkpoints are pruned */
  readonly run_id: string;
  readonly diffengine: string;
  /** absent in checkpoints of earlier versions */
  readonly evaluations?: readonly Evaluation[];
  readonly config_hash: string;
  readonly config: Readonly<Record<string, unknown>>;
}

export interface CheckpointParts {
  readonly workDir: WorkDir;
  readonly states: StateStore;
  readonly stateNames: readonly string[];
  readonly record: RunRecord;
  /** adds files to the folder before it appears */
  readonly addFiles: (folder: string) => Promise<void>;
}

/** @returns the folder, which now holds a complete checkpoint and is the one to resume from */
export async function saveCheckpoint({
  workDir,
  states,
  stateNames,
  record,
  addFiles,
}: CheckpointParts): Promise<string> {
  const folder = workDir.step(record.iteration),
    name = basename(folder);
  const aside = workDir.file(TMP + name),
    old = workDir.file(OLD + name);
  try {
    await requireOwnFolder(folder);
    await rm(aside, { recursive: true, force: true });
    await mkdir(aside);
    const specs = await Promise.all(stateNames.map(async (name) => ({ name, ...(await states.type(name)) })));
    await writeSafetensorsStream(join(aside, STATE_FILE), specs, ({ name }) => states.read(name), {
      format: 'diffengine',
    });
    await writeFile(join(aside, RECORD_FILE), `${JSON.stringify(record, null, 2)}\n`);
    await addFiles(aside);
    await syncTree(aside);
    // A folder cannot replace a folder in one step; WorkDir.open puts the old one back if we are killed in between.
    await rename(folder, old).catch(ignoreMissing);
    await rename(aside, folder);
    await syncPath(workDir.path);
    await workDir.write(POINTER, `${name}\n`);
    await rm(old, { recursive: true, force: true });
    return folder;
  } catch (error) {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined);
    throw readable(error, folder);
  }
}

/**
 * Checkpoints are renamed into place, so that nothing else may have the name of one.
 * @throws UserError for a file, a link, a device, ... in the place of a checkpoint
 */
async function requireOwnFolder(folder: string): Promise<void> {
  const info = await lstat(folder).catch(() => undefined);
  if (info && !info.isDirectory())
    throw new UserError(
      `${folder}: is there and is ${info.isSymbolicLink() ? 'a symbolic link' : 'no folder'}, where a checkpoint goes; move it away`,
    );
}

/** As `requireOwnFolder` for all that look like checkpoints, before a run begins. */
export async function requireOwnFolders(workDir: WorkDir): Promise<void> {
  for (const step of await checkpointsIn(workDir.path)) await requireOwnFolder(workDir.step(step));
}

/** The checkpoint that this work dir continues from; undefined before the first one. */
export const lastCheckpoint = (workDir: string): Promise<string | undefined> => pointedAt(workDir, POINTER);

/** The checkpoint that CheckpointHook's `save_best` keeps; undefined without. */
export const bestCheckpoint = (workDir: string): Promise<string | undefined> => pointedAt(workDir, BEST);

async function pointedAt(workDir: string, pointer: string): Promise<string | undefined> {
  const name = await readFile(join(workDir, pointer), 'utf8').catch(() => undefined);
  return name === undefined ? undefined : resolve(workDir, name.trim());
}

/** @param iter of the best checkpoint; undefined, or without a checkpoint: there is none */
export async function markBest(workDir: WorkDir, iter: number | undefined): Promise<void> {
  if (iter !== undefined && (await checkpointsIn(workDir.path)).includes(iter))
    await workDir.write(BEST, `${basename(workDir.step(iter))}\n`);
  else await forget(workDir, BEST);
}

/** Forgets which checkpoints are the last and the best: a new run starts in this work dir. The checkpoints stay. */
export async function forgetPointers(workDir: WorkDir): Promise<void> {
  for (const pointer of [POINTER, BEST]) await forget(workDir, pointer);
}

async function forget(workDir: WorkDir, pointer: string): Promise<void> {
  if ((await lstat(workDir.file(pointer)).catch(() => undefined))?.isFile())
    await rm(workDir.file(pointer), { force: true });
}

/** Iterations of the checkpoints in a work dir, ascending. */
export async function checkpointsIn(workDir: string): Promise<number[]> {
  const names = await readdir(workDir).catch(() => []);
  return names
    .flatMap((n) => /^step(\d+)$/.exec(n)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/**
 * Removes the oldest checkpoints of a run so that `keep` remain, the newest among them, and the best one.
 * @param newest the folder just written; earlier ones of the same run count, all others stay
 */
export async function pruneCheckpoints(workDir: WorkDir, newest: string, keep: number): Promise<void> {
  const { iteration, run_id } = await readRecord(newest);
  const own: string[] = [],
    best = await bestCheckpoint(workDir.path);
  for (const step of await checkpointsIn(workDir.path)) {
    if (step > iteration) continue;
    const record = await readRecord(workDir.step(step)).catch(() => undefined);
    if (record?.run_id === run_id) own.push(workDir.step(step));
  }
  for (const folder of own.slice(0, Math.max(own.length - keep, 0)).filter((f) => f !== best)) {
    const aside = workDir.file(TMP + basename(folder));
    await rename(folder, aside); // half-removed folders must not look like checkpoints
    await rm(aside, { recursive: true, force: true });
  }
}

export interface Checkpoint {
  readonly folder: string;
  readonly record: RunRecord;
  /**
   * Writes the stored states over those that there are.
   * @param config of the run that goes on from here
   * @throws UserError when the file is damaged, or states are missing or of another shape: then it names the options that differ
   */
  restore(states: StateStore, names: readonly string[], config: RunRecord['config']): Promise<void>;
}

/**
 * @param path a checkpoint, or a work dir, whose last checkpoint is meant
 * @throws UserError saying which file is missing or damaged, and which earlier checkpoint there is
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const folder = (await lastCheckpoint(path)) ?? resolve(path);
  const fail = async (error: unknown): Promise<never> => {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(`${folder}: cannot resume from this checkpoint (${why}); ${await advice(folder)}`, {
      cause: error,
    });
  };
  const record = await readRecord(folder).catch(fail);
  const restore = async (states: StateStore, names: readonly string[], config: RunRecord['config']): Promise<void> => {
    const file = await openSafetensors(join(folder, STATE_FILE)).catch(fail);
    await requireSameStates(folder, file.entries, states, names, changedOptions(record.config, config));
    for (const name of names) await states.write(name, await file.read(name).catch(fail), true);
  };
  return { folder, record, restore };
}

/** @throws UserError naming the options that make this run another one; other checkpoints of the old one would not help */
async function requireSameStates(
  folder: string,
  stored: ReadonlyMap<string, { readonly shape: Shape }>,
  states: StateStore,
  names: readonly string[],
  changes: readonly string[],
): Promise<void> {
  const list = (of: readonly string[]): string =>
    `${of.slice(0, 3).join(', ')}${of.length > 3 ? `, ... (${of.length})` : ''}`;
  const missing = names.filter((n) => !stored.has(n)),
    extra = [...stored.keys()].filter((n) => !names.includes(n));
  const differ = [
    ...(missing.length > 0 ? [`it lacks ${list(missing)}`] : []),
    ...(extra.length > 0 ? [`it has ${list(extra)}, which this run does not use`] : []),
  ];
  for (const name of names) {
    const { shape } = await states.type(name),
      found = stored.get(name)?.shape;
    if (found && String(found) !== String(shape))
      differ.push(`its ${name} has shape [${found}], this run's has [${shape}]`);
  }
  if (differ.length === 0) return;
  const advice =
    changes.length > 0
      ? `the options differ (${changes.slice(0, 6).join('; ')}${changes.length > 6 ? '; ...' : ''}); set them as they were, or start a new run with another --work-dir`
      : 'the options are the same, so another version of diffengine wrote it; go on with that version, or start a new run with another --work-dir';
  throw new UserError(`${folder}: cannot resume from this checkpoint (${differ[0]}): ${advice}`);
}

async function readRecord(folder: string): Promise<RunRecord> {
  await stat(folder).catch(() => {
    throw new Error('no such folder');
  });
  const text = await readFile(join(folder, RECORD_FILE), 'utf8').catch(() => {
    throw new Error(`no ${RECORD_FILE} in it`);
  });
  try {
    const record = JSON.parse(text) as RunRecord;
    if (!Number.isSafeInteger(record.iteration)) throw new Error('no iteration');
    return record;
  } catch (error) {
    throw new Error(`${RECORD_FILE} is damaged: ${(error as Error).message}`, { cause: error });
  }
}

/** What the user can do instead. */
async function advice(folder: string): Promise<string> {
  const home = dirname(folder),
    broken = Number(/^step(\d+)$/.exec(basename(folder))?.[1] ?? Infinity);
  const others = (await checkpointsIn(home)).filter((step) => step !== broken);
  const best = others.filter((step) => step < broken).at(-1) ?? others.at(-1);
  return best === undefined ? `there is no other checkpoint in ${home}` : `try --resume ${join(home, `step${best}`)}`;
}

/** A hash that does not depend on the order of keys. */
export function configHash(config: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(config)) ?? '')
    .digest('hex')
    .slice(0, 16);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => [k, sorted(v)]),
  );
}

/** Forces a folder with all its files to disk. */
async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    await syncPath(join(entry.parentPath, entry.name));
  }
  await syncPath(folder);
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await syncFile(handle).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPERM' && error.code !== 'EISDIR' && error.code !== 'EINVAL') throw error; // not every system syncs folders
    });
  } finally {
    await handle.close();
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
