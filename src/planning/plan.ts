/** What a config will cost before anything is computed: parameters, arithmetic, memory, time. See docs/planning.md. */
import { mkdtemp, rm } from 'node:fs/promises';
import { freemem, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { defaultCacheDir } from '../base/cache-dir.js';
import { Rng } from '../base/rng.js';
import { createBuild } from '../registry/container.js';
import type { Tree } from '../registry/merge.js';
import { BACKEND } from '../backends/backend.js';
import { CACHE_DIR, LOGGER, RNG } from '../registry/tokens.js';
import { WORK_DIR, WorkDir } from '../engine/work-dir.js';
import { type Logger } from '../base/logger.js';
import { buildBackend } from '../engine/build-backend.js';
import { buildRun, type RunConfig } from '../engine/build-run.js';
import { PlanBackend, type PlannedProgram } from './plan-backend.js';
import { PHASES, rehearse, type Phase, type Rehearsed } from './rehearsal.js';
import { PlanSources, type Download } from './sources.js';
import { calibrate, overall, runSeconds, type Speed } from './speed.js';

export interface PlanOptions {
  /** merged and validated; components must be loaded */
  readonly config: Tree;
  readonly log: Logger;
  /** seconds of measuring; 0: no times */
  readonly calibrationSeconds: number;
}

export interface ProgramPlan {
  readonly name: string;
  readonly runs: number;
  readonly macs: number;
  readonly flops: number;
  /** of one run */
  readonly seconds?: number;
  /** held by it alone: results and scratch, copies of weights */
  readonly arenaBytes: number;
  readonly copiesBytes: number;
}

export interface PhasePlan {
  readonly phase: Phase;
  readonly flops: number;
  readonly seconds?: number;
  readonly programs: readonly ProgramPlan[];
}

/** Bytes. */
export interface MemoryPlan {
  /** the most that is resident at once; the sum of the others */
  readonly peak: number;
  readonly process: number;
  /** weights read in place: pages of their files, which the system may take back */
  readonly mapped: number;
  /** weights widened to float32, and literals, per program */
  readonly copies: number;
  /** results and scratch of the programs */
  readonly activations: number;
  /** trained values, optimizer state, averages */
  readonly states: number;
  readonly caches: number;
}

export interface Plan {
  readonly model: { readonly type: string; readonly trained: number; readonly frozen: number };
  readonly downloads: readonly Download[];
  /** component and device */
  readonly backend: string;
  readonly batch: {
    readonly rows: number;
    readonly height: number;
    readonly width: number;
    readonly accumulated: number;
    readonly iterations: number;
  };
  /** of one iteration, with its share of updates */
  readonly step: { readonly macs: number; readonly flops: number; readonly seconds?: number };
  /** of one evaluation while a picture is drawn; absent when none is */
  readonly sampling?: { readonly macs: number; readonly flops: number; readonly seconds?: number };
  readonly phases: readonly PhasePlan[];
  readonly total: { readonly flops: number; readonly seconds?: number };
  readonly memory: MemoryPlan;
  readonly speed?: { readonly gflopsPerSecond: number; readonly gigabytesPerSecond: number };
}

const MIB = 2 ** 20;
/** Node, the runtime, its libraries, both threads: resident before and beside all that is counted. Measured, docs/planning.md. */
const PROCESS_BYTES = 115 * MIB;
/** Of one node of a compiled program, in the runtime and in what made it. Measured, docs/planning.md. */
const NODE_BYTES = 20 * 2 ** 10;
/** States, and what the main thread still holds of their first values. Measured, docs/planning.md. */
const STATE_COPIES = 1.07;

/** @throws UserError for what the user can mend, as training would */
export async function plan({ config: tree, log, calibrationSeconds }: PlanOptions): Promise<Plan> {
  const scratch = await mkdtemp(join(tmpdir(), 'diffengine-plan-'));
  try {
    const sources = new PlanSources(scratch, log),
      backend = new PlanBackend();
    const config = await withFolders(tree, sources);
    const rehearsed = await rehearsal(config, backend, sources, scratch, log);
    const speed =
      calibrationSeconds > 0 ? await measure(config.backend, backend.programs, calibrationSeconds, log) : undefined;
    return report(config, rehearsed, backend.programs, sources.downloads, speed);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Places of a config that are read here. */
interface RunPlaces {
  readonly backend?: { readonly type: string; readonly device?: string };
  readonly randomness?: { readonly seed?: number };
  readonly cache_dir?: string;
}

async function rehearsal(
  config: RunConfig & RunPlaces,
  backend: PlanBackend,
  sources: PlanSources,
  scratch: string,
  log: Logger,
): Promise<Rehearsed> {
  const workDir = await WorkDir.open(join(scratch, 'work')),
    rng = new Rng(config.randomness?.seed ?? 0),
    cacheDir = config.cache_dir ?? defaultCacheDir();
  const quiet: Logger = { info: () => {}, warn: (message) => log.warn(message), debug: () => {} };
  const build = createBuild([
    [LOGGER, quiet],
    [WORK_DIR, workDir],
    [RNG, rng],
    [BACKEND, backend],
    [CACHE_DIR, cacheDir],
  ]);
  try {
    const datasetServices = { cacheDir: scratch, resolveDataset: (id: string) => sources.dataset(id) };
    return await rehearse(
      buildRun(config, {
        build,
        backend,
        workDir,
        rng,
        log: quiet,
        signal: new AbortController().signal,
        datasetServices,
      }),
      backend,
      cacheDir,
      scratch,
    );
  } finally {
    await workDir.close();
  }
}

/** The config with models that would be downloaded replaced by folders without values: `model` and `student`, wherever they stand. */
async function withFolders(config: Tree, sources: PlanSources): Promise<RunConfig & RunPlaces> {
  const replaced = async (node: unknown): Promise<unknown> => {
    if (Array.isArray(node)) return Promise.all(node.map(replaced));
    if (typeof node !== 'object' || node === null) return node;
    const out: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(node)) {
      const names = typeof value === 'string' && (key === 'model' || key === 'student');
      out[key] = names ? await sources.model(value) : await replaced(value);
    }
    return out;
  };
  const places = {
    model: await replaced(config['model']),
    train_dataloader: await replaced(config['train_dataloader']),
  };
  return { ...config, ...places } as unknown as RunConfig & RunPlaces; // validateConfig has seen it
}

async function measure(
  config: object | undefined,
  programs: readonly PlannedProgram[],
  seconds: number,
  log: Logger,
): Promise<Speed> {
  const backend = buildBackend(config, log);
  try {
    return await calibrate(backend, programs, seconds);
  } finally {
    await backend.dispose();
  }
}

function report(
  config: RunConfig & RunPlaces,
  { trained, frozen, rows, picture: [height, width], cacheBytes }: Rehearsed,
  programs: readonly PlannedProgram[],
  downloads: readonly Download[],
  speed: Speed | undefined,
): Plan {
  const phases = PHASES.map((phase) => phasePlan(phase, programs, speed)).filter((p) => p.programs.length > 0);
  const iterations = config.train_cfg.max_iters,
    sampler = programs.find(({ name }) => name === 'sample_step');
  const training = phases.find(({ phase }) => phase === 'training')?.programs ?? [];
  const perIteration = (of: (p: ProgramPlan) => number): number =>
    training.reduce((n, p) => n + of(p) * p.runs, 0) / iterations;
  const seconds = <T extends { seconds?: number }>(
    list: readonly T[],
    of: (item: T) => number,
  ): { seconds?: number } => (speed ? { seconds: list.reduce((n, item) => n + of(item), 0) } : {});
  return {
    model: { type: config.model.type, trained, frozen },
    downloads,
    backend: [config.backend?.type ?? 'OnnxRuntimeBackend', config.backend?.device ?? 'cpu'].join(' '),
    batch: { rows, height, width, accumulated: config.optim_wrapper.accumulative_counts ?? 1, iterations },
    step: {
      macs: perIteration((p) => p.macs),
      flops: perIteration((p) => p.flops),
      ...seconds(training, (p) => ((p.seconds ?? 0) * p.runs) / iterations),
    },
    ...(sampler && {
      sampling: { macs: sampler.macs, flops: sampler.flops, ...(speed && { seconds: runSeconds(sampler, speed) }) },
    }),
    phases,
    total: { flops: phases.reduce((n, p) => n + p.flops, 0), ...seconds(phases, (p) => p.seconds ?? 0) },
    memory: memoryPlan(programs, cacheBytes),
    ...(speed && { speed: { gflopsPerSecond: overall(speed) / 1e9, gigabytesPerSecond: speed.bytesPerSecond / 1e9 } }),
  };
}

function phasePlan(phase: Phase, all: readonly PlannedProgram[], speed: Speed | undefined): PhasePlan {
  const programs = all
    .filter(({ runs }) => (runs.get(phase) ?? 0) > 0)
    .map((p): ProgramPlan => ({
      name: p.name,
      runs: p.runs.get(phase) ?? 0,
      macs: p.macs,
      flops: p.flops,
      ...(speed && { seconds: runSeconds(p, speed) }),
      arenaBytes: p.memory.arena,
      copiesBytes: p.memory.copies,
    }));
  return {
    phase,
    programs,
    flops: programs.reduce((n, p) => n + p.flops * p.runs, 0),
    ...(speed && { seconds: programs.reduce((n, p) => n + (p.seconds ?? 0) * p.runs, 0) }),
  };
}

/** Programs stay compiled to the end of the run, those of a second model only while it draws. */
function memoryPlan(programs: readonly PlannedProgram[], caches: number): MemoryPlan {
  const parts = [programs.filter((p) => p.passing), programs.filter((p) => !p.passing)].map((alive, i): MemoryPlan => {
    const sum = (of: (p: PlannedProgram) => number): number => alive.reduce((n, p) => n + of(p), 0);
    const shared = (of: (p: PlannedProgram) => ReadonlyMap<string, number>): number =>
      [...new Map(alive.flatMap((p) => [...of(p)])).values()].reduce((a, b) => a + b, 0);
    const own = {
      process: PROCESS_BYTES + NODE_BYTES * sum((p) => p.nodes),
      mapped: shared((p) => p.memory.mapped),
      copies: sum((p) => p.memory.copies),
      activations: sum((p) => p.memory.arena),
      states: STATE_COPIES * shared((p) => p.memory.states),
      caches: i === 0 ? 0 : caches,
    };
    return { peak: Object.values(own).reduce((a, b) => a + b, 0), ...own };
  });
  return parts[0].peak > parts[1].peak ? parts[0] : parts[1];
}

/** Bytes of memory that this process may use: of the machine, or of the container it runs in. */
export function machineMemory(): { limit: number; available: number } {
  const constrained = process.constrainedMemory?.() ?? 0,
    total = totalmem();
  return {
    limit: constrained > 0 && constrained < total ? constrained : total,
    available: process.availableMemory?.() ?? freemem(),
  };
}
