/** What of a checkpoint others get to see: what was trained, its model card, pictures. */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { packageRoot } from '../base/package-path.js';
import { UserError } from '../base/errors.js';
import type { PushFile } from '../formats/hub/push.js';
import { modelCard } from '../formats/model-card.js';
import { recordedRun } from '../formats/run-record.js';
import { recordedBase } from './checkpoint-path.js';

export const CARD_FILE = 'README.md';
/** Networks of a pipeline that are trained. */
const PARTS = ['unet', 'text_encoder'];
/** Licence of the models that the package brings. */
const OWN_LICENSE = 'apache-2.0';

type Config = Readonly<Record<string, unknown>>;

export interface CardOptions {
  /** of the base, where it is known */
  readonly license?: string | undefined;
  /** title of the card */
  readonly name: string;
  readonly base: string;
  readonly config: Config;
  readonly iterations: number;
  readonly pictures?: readonly { readonly file: string; readonly prompt: string }[];
}

/** The card of a folder with `unet/` or `text_encoder/`, whole networks or adapters. */
export function cardOf(folder: string, { license, base, pictures = [], ...facts }: CardOptions): string {
  const holds = (file: string): string[] => PARTS.filter((part) => existsSync(join(folder, part, file)));
  const isOwn = base.startsWith('package:') || base.startsWith(join(packageRoot, 'assets'));
  return modelCard({
    ...facts,
    base,
    pictures,
    license: license ?? (isOwn ? OWN_LICENSE : undefined),
    adapters: holds('adapter_config.json'),
    networks: holds('config.json'),
  });
}

/**
 * Files of a checkpoint for a repository. Training state and the run's own record stay here: the one is large, the other
 * names paths of this machine.
 * @throws UserError when there is nothing that others could use
 */
export async function sharedFiles(checkpoint: string, name: string, license?: string): Promise<PushFile[]> {
  const trained = (await Promise.all(PARTS.map((part) => filesIn(join(checkpoint, part))))).flat();
  if (trained.length === 0)
    throw new UserError(`${checkpoint}: no unet/ or text_encoder/ in it; give a checkpoint of a run, such as step999`);
  const base = await recordedBase(checkpoint),
    { iteration = -1, config } = await recordedRun(checkpoint);
  const drawn = await picturesOf(checkpoint, config),
    pictures = drawn.map(({ prompt }, k) => ({ file: `images/${k}.png`, prompt }));
  const card = cardOf(checkpoint, {
    license,
    name,
    base,
    config,
    iterations: iteration + 1,
    pictures,
  });
  return [
    { path: CARD_FILE, from: { text: card } },
    ...trained.map((from) => ({ path: relative(checkpoint, from).split(sep).join('/'), from })),
    ...drawn.map(({ from }, k) => ({ path: pictures[k].file, from })),
  ];
}

const filesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder).catch(() => [])).sort().map((name) => join(folder, name));

/** Of the preview at this checkpoint, in the work dir beside it. */
async function picturesOf(checkpoint: string, config: Config): Promise<{ from: string; prompt: string }[]> {
  const files = (await filesIn(join(dirname(checkpoint), 'vis', basename(checkpoint)))).filter((f) =>
      f.endsWith('.png'),
    ),
    hooks = Object.values(
      (config['custom_hooks'] ?? {}) as Record<string, { type?: string; prompt?: string | string[] } | null>,
    ),
    prompts = [hooks.find((hook) => hook?.type === 'VisualizationHook')?.prompt ?? []].flat();
  const number = (file: string): number => Number(basename(file, '.png'));
  return files.sort((a, b) => number(a) - number(b)).map((from, k) => ({ from, prompt: prompts[k] ?? '' }));
}
