import { availableParallelism, tmpdir } from 'node:os';
import { Worker } from 'node:worker_threads';
import { inject, optional } from 'inversify';
import { UserError } from '../../base/errors.js';
import {
  BACKENDS,
  rootsOf,
  type Backend,
  type Executable,
  type Feeds,
  type Fetches,
  type Program,
  type StateStore,
} from '../backend.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { CACHE_DIR, LOGGER, OPTIONS } from '../../registry/tokens.js';
import { type Logger } from '../../base/logger.js';
import { topo, type TensorType, type WeightSource } from '../../tensor/tensor.js';
import { ownCopy, ownsBuffer } from '../bytes.js';
import { updatedInPlace } from '../in-place.js';
import { emitProgram, INPUT } from '../onnx/emit.js';
import { optimize } from '../optimize.js';
import type { HostTensor } from '../../tensor/host.js';
import { DEVICES, missingDevice, type Device } from './devices.js';
import { diagnose } from './diagnose.js';
import { buffersOf, type Place, type Reply, type Request, type SessionSpec } from './messages.js';
import { ModelFolder } from './model-folder.js';
import { WideWeights } from './wide-weights.js';

@BACKENDS.register()
export class OnnxRuntimeBackend implements Backend {
  static readonly options = {
    description: 'Compiles programs to ONNX and runs them with ONNX Runtime.',
    type: 'object',
    additionalProperties: false,
    properties: {
      device: {
        type: 'string',
        enum: ['cpu', 'webgpu', 'cuda'],
        default: 'cpu',
        description:
          'what computes: cpu; webgpu, which is installed with ONNX Runtime and needs a driver for Vulkan, Metal or Direct3D 12; cuda, which is installed apart (docs/backends.md)',
      },
      device_id: {
        type: 'integer',
        minimum: 0,
        description:
          'which of several cuda devices. Default: the first, or that of the local rank (docs/distributed.md)',
      },
      intra_op_num_threads: {
        type: 'integer',
        minimum: 0,
        default: 0,
        description: 'threads of one operation; 0: all cores',
      },
      graph_optimization_level: {
        type: 'string',
        enum: ['disabled', 'basic', 'extended', 'all'],
        default: 'extended',
        description: "ONNX Runtime's own graph passes; all copies the weights into blocked layouts",
      },
      scratch_dir: {
        type: ['string', 'null'],
        default: null,
        description:
          'where compiled programs pass through, best on the file system of the weights; null: the temporary folder',
      },
    },
  } as const satisfies OptionsSchema;
  static readonly diagnose = diagnose;
  readonly name: string;
  private readonly worker: Worker;
  private readonly device: Device;
  private readonly wide: WideWeights | undefined;
  private readonly pending = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  private readonly folders = new Set<ModelFolder>();
  private nextId = 0;
  private failure: Error | undefined;
  private disposing: Promise<void> | undefined;
  /** Called when the last pending request is answered. */
  private idle: () => void = () => {};

  /** @param cacheDir for float32 copies of large weights with 16 bits; without it each program widens them in memory of its own */
  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof OnnxRuntimeBackend.options>,
    @optional() @inject(CACHE_DIR) cacheDir?: string,
    @optional() @inject(LOGGER) log?: Logger,
  ) {
    this.name = `onnxruntime ${opts.device}`;
    this.device = DEVICES[opts.device];
    if (this.device.mapsWeights && cacheDir !== undefined) this.wide = new WideWeights(cacheDir, log);
    // ONNX Runtime 1.29 and later reports usage to its maker unless told not to. Set here: a worker's environment is a copy.
    process.env['ORT_DISABLE_TELEMETRY'] ??= '1';
    // Plain JavaScript: the flags of the process are not for it, and --input-type would stop it.
    this.worker = new Worker(new URL('./worker.js', import.meta.url), {
      execArgv: [],
      workerData: { device: opts.device, id: opts.device_id ?? 0, resident: this.device.resident } satisfies Place,
    });
    this.worker.on('message', (reply: Reply) => this.settle(reply));
    this.worker.on('error', (error) => this.fail(error));
    this.worker.on('exit', (code) => this.fail(new Error(`${this.name}: the worker thread ended with code ${code}`)));
    // Pending until the runtime is loaded: a thread that is ended before, by `dispose` or the end of the process, takes the process with it.
    void this.ask({ kind: 'load' }).catch(() => undefined); // `fail` keeps the error for whoever asks next
  }

  readonly states: StateStore = {
    write: async (name, value, given = false) => {
      const own = given && ownsBuffer(value) ? value : ownCopy(value);
      await this.ask({ kind: 'write', name, value: own }, [own]);
    },
    type: async (name) => (await this.ask({ kind: 'type', name })) as TensorType,
    read: async (name) => (await this.ask({ kind: 'read', name })) as HostTensor,
    delete: async (name) => void (await this.ask({ kind: 'delete', name })),
  };

  async compile(program: Program): Promise<Executable> {
    try {
      const optimized = optimize(program),
        smaller = (await this.wide?.apply(optimized)) ?? optimized;
      const folder = await ModelFolder.create(this.opts.scratch_dir ?? tmpdir(), weightFiles(smaller));
      this.folders.add(folder);
      return await this.load(smaller, folder);
    } catch (error) {
      throw this.named(program.name, error);
    }
  }

  private async load(program: Program, folder: ModelFolder): Promise<Executable> {
    try {
      const { lowering, overwrites } = this.device;
      const emitted = emitProgram(program, ({ file }) => folder.locate(file), { lowering, overwrites });
      const over = overwrites ? updatedInPlace(program) : new Set<string>();
      const spec: SessionSpec = {
        modelPath: await folder.writeModel(emitted.model),
        graphOptimizationLevel: this.opts.graph_optimization_level,
        threads: this.opts.intra_op_num_threads || availableParallelism(),
        states: emitted.states.map(({ name, graphName }) => [graphName, name]),
        updates: emitted.updates.map((update) => ({ ...update, inPlace: over.has(update.name) })),
        outputs: emitted.outputs,
        withheld: emitted.withheld,
      };
      const session = (await this.ask({ kind: 'compile', spec }).catch(explained(emitted.explain))) as number;
      if (process.platform !== 'win32') await this.drop(folder);
      return this.executable(
        program.name,
        session,
        emitted.inputs.map(({ name }) => name),
        emitted.explain,
        folder,
      );
    } catch (error) {
      await this.drop(folder);
      throw error;
    }
  }

  /** Apart from `load`, so that a program that is kept does not hold its graph and its model. */
  private executable(
    program: string,
    session: number,
    inputs: readonly string[],
    explain: (message: string) => string,
    folder: ModelFolder,
  ): Executable {
    const run = async (feeds: Feeds): Promise<Fetches> => {
      const copies = Object.fromEntries(inputs.map((name) => [name, ownCopy(fed(feeds, name))]));
      return (await this.ask({ kind: 'run', session, feeds: copies }, Object.values(copies)).catch(
        explained(explain),
      )) as Fetches;
    };
    return {
      run: (feeds) =>
        run(feeds).catch((error: unknown) => {
          throw this.named(program, error);
        }),
      dispose: async () => {
        await this.ask({ kind: 'release', session });
        await this.drop(folder);
      },
    };
  }

  private named(program: string, error: unknown): Error {
    if (error instanceof UserError) return error;
    return new Error(`${this.name}: program "${program}": ${(error as Error).message}`, { cause: error });
  }

  /** After what is running now: a thread that is ended inside the runtime takes the process with it. */
  dispose(): Promise<void> {
    return (this.disposing ??= this.end());
  }

  private async end(): Promise<void> {
    this.failure ??= new Error(`${this.name}: the backend was disposed`);
    if (this.pending.size > 0) await new Promise<void>((resolve) => (this.idle = resolve));
    await this.worker.terminate();
    for (const folder of [...this.folders]) await this.drop(folder);
  }

  private async drop(folder: ModelFolder): Promise<void> {
    if (this.folders.delete(folder)) await folder.remove();
  }

  private ask(request: Request, tensors: readonly HostTensor[] = []): Promise<unknown> {
    if (this.failure) return Promise.reject(this.failure);
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.worker.postMessage({ id, request }, buffersOf(tensors)); // first: what cannot be sent is not waited for
      this.pending.set(id, { resolve, reject });
      this.worker.ref();
    });
  }

  private settle({ id, value, error }: Reply): void {
    const waiting = this.pending.get(id);
    this.pending.delete(id);
    if (this.pending.size === 0) {
      this.worker.unref();
      this.idle();
    }
    if (error !== undefined) waiting?.reject(this.explained(error));
    else waiting?.resolve(value);
  }

  private explained(message: string): Error {
    const missing = missingDevice(this.opts.device, message);
    return missing === undefined ? new Error(message) : new UserError(missing, { code: 'BACKEND_UNAVAILABLE' });
  }

  private fail(error: Error): void {
    this.failure ??= error;
    for (const { reject } of this.pending.values()) reject(this.failure);
    this.pending.clear();
    this.idle();
  }
}

function weightFiles(program: Program): string[] {
  const files = new Set<string>();
  for (const { op, payload } of topo(rootsOf(program))) {
    const source = op === 'weight' ? (payload as WeightSource) : undefined;
    if (source && 'file' in source) files.add(source.file);
  }
  return [...files];
}

/** Feeds that the program does not read are left out; one it reads must be there. */
function fed(feeds: Feeds, graphName: string): HostTensor {
  const name = graphName.slice(INPUT.length);
  if (!feeds[name]) throw new Error(`input "${name}" was not fed; fed: ${Object.keys(feeds).join(', ')}`);
  return feeds[name];
}

const explained =
  (explain: (message: string) => string) =>
  (error: Error): never => {
    throw error instanceof UserError ? error : new Error(explain(error.message), { cause: error });
  };

declare module '../../registry/kinds.js' {
  interface BackendMap {
    OnnxRuntimeBackend: typeof OnnxRuntimeBackend;
  }
}
