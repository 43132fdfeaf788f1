/** Runs stages, one after the other or several at once, and keeps what they leave. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeFileAtomic } from '../../src/base/atomic-file.js';
import { UserError } from '../../src/base/errors.js';
import { shellWord } from '../../src/base/shell-word.js';
import { keepPictures } from './pictures.js';
import { outcomeOf, type Marker } from './result.js';
import { dirOf, type Stage } from './row.js';

const cli = fileURLToPath(new URL('../cli.js', import.meta.url));

export interface Running {
  /** stages at once; from 2 on each has its share of the processor's threads, and a log of its own */
  readonly jobs: number;
  /** stages that run first, one after the other, with all threads */
  readonly alone: ReadonlySet<Stage>;
}

/** Runs what has no record yet, and what such a stage reads and is gone. @throws UserError naming the stage and the command that failed; what runs beside it ends first */
export async function runStages(stages: readonly Stage[], { jobs, alone }: Running): Promise<void> {
  const left = stages.filter(({ record }) => !existsSync(record)),
    missing = stages.filter(
      (stage) => left.includes(stage) || (!existsSync(dirOf(stage.id)) && left.some((other) => uses(other, stage))),
    ),
    position = (stage: Stage): string => `${stages.indexOf(stage) + 1} of ${stages.length}: ${stage.id}`;
  await inParallel(
    missing.filter((stage) => alone.has(stage)),
    1,
    position,
  );
  await inParallel(
    missing.filter((stage) => !alone.has(stage)),
    jobs,
    position,
  );
}

async function inParallel(stages: readonly Stage[], jobs: number, position: (stage: Stage) => string): Promise<void> {
  const waiting = [...stages],
    started = new Map<Stage, Promise<void>>();
  let failed = false;
  const work = async (): Promise<void> => {
    for (let stage = waiting.shift(); stage !== undefined && !failed; stage = waiting.shift()) {
      console.log(`\n=== ${position(stage)}`);
      const running = Promise.all([...started].flatMap(([other, end]) => (uses(stage, other) ? [end] : []))).then(() =>
        run(stage, jobs),
      );
      started.set(stage, running);
      await running.catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: jobs }, work));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

/** Whether a stage reads what another one writes. */
const uses = ({ commands }: Stage, other: Stage): boolean =>
  commands.some((args) => args.some((arg) => arg.includes(`${dirOf(other.id)}/`)));

async function run(stage: Stage, jobs: number): Promise<void> {
  const start = performance.now(),
    commands = stage.commands.map((args) => withThreads(args, jobs));
  for (const args of commands) {
    if (['compress', 'export-pipeline'].includes(args[0]) && existsSync(args[args.indexOf('--out') + 1])) continue; // of a try that was stopped later
    const log = jobs > 1 ? `${dirOf(stage.id)}/log.txt` : undefined;
    const code = await diffengine(args, log);
    if (code !== 0)
      throw new UserError(
        `stage ${stage.id} stopped with exit code ${code}: diffengine ${args.join(' ')}${log === undefined ? '' : `; ${log} says why`}; the same command goes on from there`,
      );
  }
  const marker: Marker = {
    commands: commands.map((args) => `diffengine ${args.map(shellWord).join(' ')}`),
    seconds: Math.round((performance.now() - start) / 1000),
    commit: commit(),
    machine: `${availableParallelism()} x ${cpus()[0]?.model ?? 'CPU'}, Node ${process.version}${jobs > 1 ? `, ${jobs} runs at once` : ''}`,
    finished: new Date().toISOString().slice(0, 10),
  };
  const outcome = await outcomeOf(stage, marker);
  await mkdir(dirname(stage.record), { recursive: true });
  await keepPictures(stage);
  await writeFileAtomic(stage.record, `${JSON.stringify(outcome, null, 2)}\n`);
}

/** Networks this small gain little from a second thread: two runs with one each do more. */
function withThreads(args: readonly string[], jobs: number): readonly string[] {
  if (jobs === 1 || !['train', 'eval'].includes(args[0])) return args;
  const threads = Math.max(1, Math.floor(availableParallelism() / jobs));
  return [
    ...args,
    ...(args.includes('--cfg-options') ? [] : ['--cfg-options']),
    `backend.intra_op_num_threads=${threads}`,
  ];
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

/** Ctrl-C reaches the child, too; it saves and ends. @param log file that its output is added to */
async function diffengine(args: readonly string[], log: string | undefined): Promise<number> {
  if (log !== undefined) await mkdir(dirname(log), { recursive: true });
  const file = log === undefined ? undefined : await open(log, 'a');
  process.on('SIGINT', ignore);
  try {
    return await new Promise((resolve, reject) => {
      const out = file === undefined ? 'inherit' : file.fd;
      const child = spawn(process.execPath, [cli, ...args], { stdio: ['inherit', out, out] });
      child.on('error', reject);
      child.on('close', (code, signal) => resolve(code ?? (signal === 'SIGKILL' ? 137 : 130)));
    });
  } finally {
    process.off('SIGINT', ignore);
    await file?.close();
  }
}

function ignore(): void {}
