/** npm run repro [-- --from-scratch] [--only ids...] [--page]: the runs behind docs/results.md, and the page. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { writeFileAtomic } from '../../src/base/atomic-file.js';
import { writePage } from './page.js';
import { keepPictures } from './pictures.js';
import { outcomeOf, type Marker } from './result.js';
import type { Stage } from './row.js';
import { ALL_ROWS, EXPERIMENTS } from './rows/all.js';

const program = new Command('npm run repro --')
  .description(
    'make the numbers of docs/results.md: trains, evaluates, writes the page. Run it again after a stop: it goes on where it was. What docs/results/runs holds is not run again; delete that folder and work_dirs/repro to begin anew',
  )
  .option(
    '--from-scratch',
    'also the weights that diffengine ships: CLIP, classifier, autoencoder, U-Net (hours); the experiments still start from the shipped ones',
  )
  .option(
    '--only <names...>',
    'these rows, tables or single trainings: dreambooth_base_dog, kinds, student_tiny_0; search: the runs that the settings were chosen by',
  )
  .option('--list', 'show the rows, and what is done of each')
  .option('--page', 'only write the page, from what is done')
  .parse();
const { fromScratch, only, list, page } = program.opts<{
  fromScratch?: boolean;
  only?: string[];
  list?: boolean;
  page?: boolean;
}>();

const cli = fileURLToPath(new URL('../cli.js', import.meta.url));
const named = (name: string, { id, table, stages }: (typeof ALL_ROWS)[number]): readonly Stage[] =>
  id === name || table === name ? stages : stages.filter((stage) => stage.id === name);
const rows = fromScratch ? ALL_ROWS.filter(({ table }) => table !== 'search') : EXPERIMENTS;
const unknown = only?.find((name) => !ALL_ROWS.some((row) => named(name, row).length > 0));

if (unknown !== undefined) fail(`--only ${unknown}: no such row, table or training; --list shows the rows`);
else if (list)
  for (const { id, title, stages } of ALL_ROWS) {
    const done = stages.filter((stage) => existsSync(stage.record)).length;
    console.log(`${done} of ${stages.length}  ${id.padEnd(32)} ${title}`);
  }
else {
  if (!page)
    await runAll(inTurn(only ? ALL_ROWS.flatMap((row) => only.flatMap((name) => named(name, row))) : undefined));
  await writePage();
}

/** First one training of each row, so that a page of all rows comes early; then the second of each. */
function inTurn(chosen: readonly Stage[] | undefined): Stage[] {
  if (chosen) return [...new Set(chosen)];
  const most = Math.max(...rows.map(({ stages }) => stages.length));
  return Array.from({ length: most }, (_, k) => rows.flatMap(({ stages }) => stages.slice(k, k + 1))).flat();
}

async function runAll(stages: readonly Stage[]): Promise<void> {
  for (const [k, stage] of stages.entries()) {
    if (existsSync(stage.record)) continue;
    console.log(`\n=== ${k + 1} of ${stages.length}: ${stage.id}`);
    const started = performance.now();
    for (const args of stage.commands) {
      if (['compress', 'export-pipeline'].includes(args[0]) && existsSync(args[args.indexOf('--out') + 1])) continue; // of a try that was stopped later
      const code = await diffengine(args);
      if (code !== 0)
        return fail(
          `stage ${stage.id} stopped with exit code ${code}: diffengine ${args.join(' ')}; the same command goes on from there`,
          code,
        );
    }
    await finish(stage, (performance.now() - started) / 1000);
  }
}

async function finish(stage: Stage, seconds: number): Promise<void> {
  const marker: Marker = {
    commands: stage.commands.map((args) => `diffengine ${args.map(quoted).join(' ')}`),
    seconds: Math.round(seconds),
    commit: commit(),
    machine: `${availableParallelism()} x ${cpus()[0]?.model ?? 'CPU'}, Node ${process.version}`,
    finished: new Date().toISOString().slice(0, 10),
  };
  const outcome = await outcomeOf(stage, marker);
  await mkdir(dirname(stage.record), { recursive: true });
  await keepPictures(stage);
  await writeFileAtomic(stage.record, `${JSON.stringify(outcome, null, 2)}\n`);
}

function quoted(arg: string): string {
  return /^[\w./:=,@+-]+$/.test(arg) ? arg : `'${arg}'`;
}

/** What a result depends on. */
const RUNS = ['src', 'configs', 'assets', 'tools/commands', 'tools/repro/rows', 'package-lock.json'];

/** The last commit that changed what runs; with a plus where something was changed since. */
function commit(): string {
  const git = (...args: readonly string[]): string =>
    execFileSync('git', [...args, '--', ...RUNS], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return git('log', '-1', '--format=%h') + (git('status', '--porcelain') === '' ? '' : '+');
  } catch {
    return 'unknown'; // an installed package is no repository
  }
}

/** Ctrl-C reaches the child, too; it saves and ends. */
function diffengine(args: readonly string[]): Promise<number> {
  process.on('SIGINT', ignore);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...args], { stdio: 'inherit' });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.off('SIGINT', ignore);
      resolve(code ?? (signal === 'SIGKILL' ? 137 : 130));
    });
  });
}

function ignore(): void {}

function fail(message: string, code = 1): void {
  console.error(`repro: ${message}`);
  process.exitCode = code;
}
