/** npm run bench: measured against PyTorch in the same run, where PyTorch is. See docs/performance.md. */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { loadComponents } from '../src/components.js';
import { LAYOUTS, writeRandomModel } from '../src/models/random-model.js';
import { defaultCacheDir } from '../src/models/weights/cache-dir.js';
import type { BenchCase, BenchResult } from './case.js';

const program = new Command('npm run bench --')
  .description('time and memory of training and sampling steps, paired with PyTorch when it is there')
  .option('--layouts <names>', 'comma-separated: sd15, small, bk_small, tiny', 'small,tiny,sd15')
  .option('--sizes <pixels>', 'comma-separated', '256,512')
  .option('--modes <names>', 'comma-separated: lora, full, sample', 'lora,sample')
  .option('--batch <n>', 'samples per step', '1')
  .option('--reps <n>', 'steps per process; the first is not counted', '4')
  .option('--pairs <n>', 'how often each side runs, in turn', '2')
  .option('--quick', 'small at 256 px only, one pair')
  .option('--peer <script>', 'the opponent: a script with the arguments LAYOUT LATENT MODE that prints one JSON line', '../shared/peer/torch_step.py')
  .option('--python <command>', 'a Python with PyTorch', 'python3')
  .option('--out <folder>', 'where the JSON file goes', 'bench/results')
  .parse();
const o = program.opts<Record<'layouts' | 'sizes' | 'modes' | 'batch' | 'reps' | 'pairs' | 'peer' | 'python' | 'out', string> & { quick?: boolean }>();
/** Above this much foreign CPU (percent of one core) a run is marked: its time says little. */
const BUSY_PERCENT = 15;

const run = promisify(execFile);
const list = (text: string): string[] => text.split(',');

/** Random weights of a layout, float32 as the peer's, written once into the cache. */
async function weights(layout: string): Promise<string> {
  const folder = join(defaultCacheDir(), 'bench', layout);
  if (!existsSync(join(folder, 'model_index.json'))) {
    process.stderr.write(`writing random weights of ${layout} to ${folder}\n`);
    await writeRandomModel(folder, LAYOUTS[layout], { dtype: 'float32', seed: 0 });
  }
  return folder;
}

async function ours(spec: BenchCase): Promise<BenchResult> {
  const { stdout } = await run(process.execPath, [new URL('./case.js', import.meta.url).pathname, JSON.stringify(spec)], { maxBuffer: 2 ** 24 });
  return JSON.parse(stdout) as BenchResult;
}

/** undefined where there is no PyTorch; `sample` is a forward pass of two. */
async function peer(layout: string, spec: BenchCase): Promise<BenchResult | undefined> {
  if (!existsSync(o.peer)) return undefined;
  const [mode, batch] = spec.mode === 'sample' ? ['forward', 2] : [spec.mode, spec.batch];
  const args = [o.peer, layout, String(spec.latent), mode, '--batch', String(batch), '--reps', String(spec.reps), '--threads', String(cpus().length)];
  const result = await run(o.python, args, { maxBuffer: 2 ** 24 }).catch((error: Error) => void process.stderr.write(`no peer: ${error.message.split('\n').slice(-2)[0]}\n`));
  return result ? (JSON.parse(result.stdout) as BenchResult) : undefined;
}

const median = (values: number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
/** Over all runs of one side, the first step of each left out. */
const pooled = (results: readonly BenchResult[]): number => median(results.flatMap((r) => (r.all_s.length > 1 ? r.all_s.slice(1) : r.all_s)));

await loadComponents();
const rows: Record<string, unknown>[] = [];
for (const layout of o.quick ? ['small'] : list(o.layouts)) for (const size of o.quick ? ['256'] : list(o.sizes)) for (const mode of list(o.modes)) {
  const spec = { folder: await weights(layout), latent: Number(size) / 8, mode, batch: Number(o.batch), reps: Number(o.reps) } as BenchCase;
  const [a, b]: [BenchResult[], BenchResult[]] = [[], []];
  for (let pair = 0; pair < (o.quick ? 1 : Number(o.pairs)); pair++) {
    a.push(await ours(spec));
    const other = await peer(layout, spec);
    if (other) b.push(other);
  }
  const busy = [...a, ...b].some((r) => median(r.foreign_cpu_percent) > BUSY_PERCENT);
  const row = {
    layout, size: Number(size), mode, batch: spec.batch, ours_s: pooled(a), ours_mb: Math.max(...a.map((r) => r.peak_mb)), first_step_s: median(a.map((r) => r.first_s)),
    ...(b.length > 0 ? { peer_s: pooled(b), peer_mb: Math.max(...b.map((r) => r.peak_mb)), time_ratio: pooled(a) / pooled(b), memory_ratio: Math.max(...a.map((r) => r.peak_mb)) / Math.max(...b.map((r) => r.peak_mb)) } : {}),
    busy, runs: { ours: a, peer: b },
  };
  rows.push(row);
  const { runs: _runs, ...shown } = row;
  console.log(JSON.stringify(shown));
}
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
mkdirSync(o.out, { recursive: true });
const file = join(o.out, `${new Date().toISOString().slice(0, 19).replaceAll(/[:-]/g, '')}-${commit}.json`);
writeFileSync(file, `${JSON.stringify({ commit, date: new Date().toISOString(), machine: `${cpus().length} x ${cpus()[0].model}`, node: process.version, rows }, null, 1)}\n`);
console.log(file);
