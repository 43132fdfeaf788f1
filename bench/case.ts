/** One measured case in a process of its own: `node --expose-gc dist/bench/case.js '<json>'` prints one line of JSON. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Backend } from '../src/backends/backend.js';
import { loadComponents } from '../src/components.js';
import { buildBackend } from '../src/engine/build-backend.js';
import type { CaseSpec } from './cases.js';
import {
  cpuSeconds,
  foreignBetween,
  mappedMegabytes,
  peakMegabytes,
  privateMegabytes,
  residentMegabytes,
} from './machine.js';
import type { Timed } from './stats.js';
import { silent, workload } from './workloads.js';

export interface CaseResult extends Timed {
  /** from the start of the process to the end of the first repetition */
  readonly first_s: number;
  /** compiling: from a graph to a session that can run */
  readonly session_s: number;
  /** MB that no file backs, by which the process grew while it compiled: copies of weights, and the graph */
  readonly private_mb: number;
  /** resident MB of the weight files themselves: shared with other processes and with the page cache */
  readonly mapped_mb: number;
  /** MB by which the peak is above what was resident before anything ran */
  readonly grown_mb: number;
}

const round = (x: number): number => Math.round(x * 10_000) / 10_000;

/** Short repetitions are cheap: about four seconds of them, for a figure that the machine's ticks do not decide. */
const another = (done: number, spent: number, { reps, seconds }: CaseSpec): boolean =>
  done < 2 || (spent < seconds && (done < reps || (spent < 4 && done < 50)));

/** Adds up what compiling costs. */
function probed(backend: Backend, cost: { seconds: number; privateMb: number }): Backend {
  const compile: Backend['compile'] = async (program) => {
    globalThis.gc?.();
    const memory = privateMegabytes(),
      start = performance.now();
    const executable = await backend.compile(program);
    cost.seconds += (performance.now() - start) / 1000;
    globalThis.gc?.();
    cost.privateMb += privateMegabytes() - memory;
    return executable;
  };
  return { name: backend.name, states: backend.states, compile, dispose: () => backend.dispose() };
}

/** Weight files of a pipeline folder. */
function weightFiles(folder: string): string[] {
  return folder === ''
    ? []
    : readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.safetensors'))
        .map((name) => join(folder, name));
}

async function main(spec: CaseSpec): Promise<CaseResult> {
  await loadComponents();
  const cost = { seconds: 0, privateMb: 0 },
    backend = buildBackend(undefined, silent);
  const begin = residentMegabytes('self') ?? 0;
  const repeat = await workload(probed(backend, cost), spec);
  const all: number[] = [],
    foreign: number[] = [];
  let first = 0,
    spent = 0;
  for (let i = 0; another(i, spent, spec); i++) {
    const compiled = cost.seconds,
      before = cpuSeconds();
    await repeat(i);
    const after = cpuSeconds(),
      elapsed = after.at - before.at;
    if (i === 0) first = performance.now() / 1000;
    all.push(elapsed - (cost.seconds - compiled));
    foreign.push(foreignBetween(before, after));
    spent += elapsed;
  }
  const result = {
    all_s: all.map(round),
    foreign_cpu_percent: foreign,
    first_s: round(first),
    session_s: round(cost.seconds),
    peak_mb: peakMegabytes(),
    private_mb: Math.round(cost.privateMb),
    mapped_mb: mappedMegabytes(weightFiles(spec.folder)),
    grown_mb: Math.round(peakMegabytes() - begin),
  };
  await backend.dispose();
  return result;
}

console.log(JSON.stringify(await main(JSON.parse(process.argv[2]) as CaseSpec)));
