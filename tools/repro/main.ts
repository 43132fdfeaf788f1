/** npm run repro [-- --from-scratch] [--only ids...] [--page]: the runs behind docs/results.md, and the page. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { writeFileAtomic } from '../../src/base/atomic-file.js';
import { writeKindsSection, writePage } from './page.js';
import type { Marker } from './result.js';
import { ALL_STAGES, EXPERIMENTS, markerOf, type Stage } from './stages.js';

const program = new Command('npm run repro --')
  .description(
    'make every number of docs/results.md again: trains, evaluates, writes the page. Run it again after a stop: it goes on where it was',
  )
  .option(
    '--from-scratch',
    'also the weights that diffengine ships: CLIP, classifier, autoencoder, U-Net (hours); the experiments still start from the shipped ones',
  )
  .option('--only <ids...>', 'these stages; kinds: those that compare kinds of adapter')
  .option('--list', 'show the stages')
  .option('--page', 'only write the page, from what is done')
  .parse();
const { fromScratch, only, list, page } = program.opts<{
  fromScratch?: boolean;
  only?: string[];
  list?: boolean;
  page?: boolean;
}>();

const cli = fileURLToPath(new URL('../cli.js', import.meta.url));
const stages = (only || fromScratch ? ALL_STAGES : EXPERIMENTS).filter(
  ({ id, table }) => !only || only.includes(id) || only.includes(table),
);
const unknown = only?.find((id) => !ALL_STAGES.some((stage) => stage.id === id || stage.table === id));

if (unknown !== undefined) fail(`--only ${unknown}: no such stage; --list shows them`);
else if (list)
  for (const stage of ALL_STAGES)
    console.log(`${existsSync(markerOf(stage)) ? 'done' : '    '}  ${stage.id.padEnd(24)} ${stage.title}`);
else {
  if (!page) await runAll();
  const onlyKinds = only !== undefined && stages.every(({ table }) => table === 'kinds');
  await (onlyKinds ? writeKindsSection() : writePage());
}

async function runAll(): Promise<void> {
  for (const stage of stages) {
    if (existsSync(markerOf(stage))) continue;
    console.log(`\n=== ${stage.id}: ${stage.title}`);
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
  await mkdir(dirname(markerOf(stage)), { recursive: true });
  await writeFileAtomic(markerOf(stage), `${JSON.stringify(marker, null, 2)}\n`);
}

function quoted(arg: string): string {
  return /^[\w./:=,@+-]+$/.test(arg) ? arg : `'${arg}'`;
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
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
