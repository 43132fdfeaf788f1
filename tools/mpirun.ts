/** Starts the ranks of a run on this machine with the MPI that is installed, and sees them end. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { UserError } from '../src/base/errors.js';
import type { Logger } from '../src/base/logger.js';
import { INSTALL_ADVICE } from '../src/collectives/mpi-library.js';

/** Another mpirun than that of PATH. */
const MPIRUN_VARIABLE = 'DIFFENGINE_MPIRUN';

/** Set for ranks that were started here: they need to listen to SIGUSR1 alone, and the others end them at once. */
export const STARTED_HERE = 'DIFFENGINE_STARTED_RANKS';

/** What a first Ctrl-C, SIGTERM or SIGUSR1 does here, and the exit code that shells know them by. */
const EXIT_CODES = { SIGINT: 130, SIGUSR1: 138, SIGTERM: 143 } as const;

/**
 * Runs the same command again as `n` ranks. Signals are passed on as SIGUSR1, which both families hand to their ranks; the
 * ranks have a process group of their own, so that Ctrl-C reaches them through here alone.
 * @returns the exit code
 */
export async function runRanks(n: number, log: Logger): Promise<number> {
  const mpirun = process.env[MPIRUN_VARIABLE] ?? 'mpirun';
  const flags = flagsOf(mpirun, n);
  const child = spawn(mpirun, [...flags, process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, [STARTED_HERE]: String(n) },
  });
  let received: keyof typeof EXIT_CODES | undefined;
  const onSignal = (name: NodeJS.Signals): void => {
    if (received) process.kill(-child.pid!, 'SIGKILL');
    else child.kill('SIGUSR1');
    received ??= name as keyof typeof EXIT_CODES;
  };
  for (const name of Object.keys(EXIT_CODES)) process.on(name, onSignal);
  const losses: string[] = [];
  const shown = Promise.all([
    lines(child.stdout, (line) => log.info(line)),
    lines(child.stderr, (line) => {
      const lost = lossOf(line);
      if (lost !== undefined) losses.push(lost);
      // By their own names: the ranks hear of all as SIGUSR1.
      else if (!isNoise(line)) process.stderr.write(`${received ? line.replace('SIGUSR1', received) : line}\n`);
    }),
  ]);
  const [code] = (await once(child, 'exit')) as [number | null];
  await shown;
  for (const name of Object.keys(EXIT_CODES)) process.off(name, onSignal);
  if (received) return EXIT_CODES[received];
  if (losses.length > 0)
    process.stderr.write(
      `diffengine: ${losses[0]}, and the others were ended with it. The last checkpoint holds; add --resume to the same command to go on from there\n`,
    );
  return code ?? 1;
}

/** @throws UserError when there is no mpirun */
function flagsOf(mpirun: string, n: number): string[] {
  const { error, stdout = '' } = spawnSync(mpirun, ['--version'], { encoding: 'utf8' });
  if (error)
    throw new UserError(
      `--launcher mpi: ${mpirun} does not start (${(error as NodeJS.ErrnoException).code ?? error.message}); ${INSTALL_ADVICE}, or name it with ${MPIRUN_VARIABLE}`,
      { code: 'BACKEND_UNAVAILABLE' },
    );
  if (!/open.?mpi|OpenRTE|prte/i.test(stdout)) return ['-n', String(n)];
  // Each rank would be bound to one core, and one per core be allowed.
  const root = process.getuid?.() === 0 ? ['--allow-run-as-root'] : [];
  return [...root, '--bind-to', 'none', '--oversubscribe', '-n', String(n)];
}

async function lines(stream: Readable, show: (line: string) => void): Promise<void> {
  for await (const line of createInterface({ input: stream })) show(line);
}

/** In Open MPI's words, and in MPICH's, which say no rank. */
function lossOf(line: string): string | undefined {
  const killed = /process rank (\d+) with PID \d+ on node (\S+) exited on signal (\d+(?: \([\w ]+\))?)/.exec(line);
  if (killed) return `rank ${killed[1]} on ${killed[2]} was ended by signal ${killed[3]}`;
  const bad = /PID (\d+) RUNNING AT (\S+)/.exec(line);
  return bad ? `a rank (process ${bad[1]}) on ${bad[2]} ended` : undefined;
}

/** What an mpirun says about processes that ended themselves, with or without a word of their own. */
function isNoise(line: string): boolean {
  return NOISE.some((pattern) => pattern.test(line));
}
const NOISE = [
  /^\s*$/,
  /^[-=]{20,}$/,
  /^Primary job\s+terminated normally/,
  /^the job to be terminated\. The first process to do so was:/,
  /^\S+: Forwarding signal/,
  /non-zero exit code\.? ?\.? ?Per user-direction/,
  /^a non-zero exit code/,
  /^\S+ detected that one or more processes exited with non-zero status/,
  /^\s*Process name: \[\[/,
  /^\s*Exit code:/,
  /^MPI_ABORT was invoked on rank/,
  /^with errorcode \d+/,
  /^NOTE: invoking MPI_ABORT/,
  /^You may or may not see output/,
  /^exactly when Open MPI kills them/,
  /^=\s/,
  /^YOUR APPLICATION TERMINATED WITH/,
  /^This typically refers to a problem/,
  /^Please see the FAQ page/,
  /^application called MPI_Abort/,
];
