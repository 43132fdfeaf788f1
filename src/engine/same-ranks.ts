/** Ranks that do not train the same thing are refused before they begin. */
import { createHash } from 'node:crypto';
import { UserError, type ErrorCode } from '../base/errors.js';
import { Rng } from '../base/rng.js';
import { packageVersion } from '../base/version.js';
import { gatherJson, type Collectives } from '../collectives/collectives.js';
import type { Dataset } from '../datasets/dataset.js';
import { bytesOf } from '../backends/bytes.js';
import { changedOptions } from './config-changes.js';

type Config = Readonly<Record<string, unknown>>;

interface Started {
  readonly host: string;
  readonly version: string;
  readonly config: Config;
}

/** Package and config. @throws UserError naming both ranks, and what differs */
export async function requireSameStart(ranks: Collectives, config: Config): Promise<void> {
  const all = await gatherJson<Started>(ranks, { host: ranks.host, version: packageVersion, config });
  refuse(all, ({ version }) => version, 'diffengine', 'install the same version everywhere');
  const changes = all.map((one) => changedOptions(all[0].config, one.config)),
    other = changes.findIndex((list) => list.length > 0);
  if (other < 0) return;
  throw new UserError(
    `rank ${other} on ${all[other].host} has another config than rank 0 on ${all[0].host}:\n  ${changes[other].join('\n  ')}\nStart all ranks with the same command`,
    { code: 'CONFIG_INVALID' },
  );
}

/** @throws UserError naming both ranks and their models */
export async function requireSameModel(ranks: Collectives, fingerprint: string): Promise<void> {
  const all = await gatherJson(ranks, { host: ranks.host, fingerprint });
  refuse(all, (one) => one.fingerprint, 'the model', 'copy the same files to all machines', 'MODEL_MISMATCH');
}

/** Samples that are compared at most. */
const MOST_COMPARED = 64;

/** Compares the number of samples, and up to 64 of them, spread evenly. @throws UserError naming both ranks and their data */
export async function requireSameData(ranks: Collectives, dataset: Dataset): Promise<void> {
  if (ranks.size === 1) return;
  const hash = createHash('sha256'),
    { length } = dataset,
    count = Math.min(length, MOST_COMPARED);
  for (let i = 0; i < count; i++) {
    const { img, text, prior } = await dataset.get(Math.floor((i * length) / count), new Rng(0).stream('compare', i));
    for (const part of [{ img, text }, ...(prior ? [prior] : [])]) hash.update(bytesOf(part.img)).update(part.text);
  }
  const data = `${length} samples, ${hash.digest('hex').slice(0, 16)}`;
  const all = await gatherJson(ranks, { host: ranks.host, data });
  refuse(all, (one) => one.data, 'the training data', 'copy the same files to all machines');
}

function refuse<T extends { readonly host: string }>(
  all: readonly T[],
  value: (one: T) => string,
  what: string,
  advice: string,
  code: ErrorCode = 'INVALID_INPUT',
): void {
  const other = all.findIndex((one) => value(one) !== value(all[0]));
  if (other < 0) return;
  throw new UserError(
    `${what} differs between ranks: ${value(all[0])} on rank 0 (${all[0].host}), ${value(all[other])} on rank ${other} (${all[other].host}); ${advice}`,
    { code },
  );
}
