import { inject } from 'inversify';
import { BACKENDS, type Backend, type Executable, type Program, type StateStore } from '../backend.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { LOGGER, OPTIONS } from '../../registry/tokens.js';
import { type Logger } from '../../base/logger.js';
import type { DType, HostTensor } from '../../tensor/host.js';
import type { TfjsTensor } from '../../tensor/primitive.js';
import { fromTfjs, toTfjs } from './convert.js';
import { diagnose } from './diagnose.js';
import { openRuntime, type Runtime } from './runtime.js';
import { TfjsProgram, type States } from './tfjs-program.js';
import { WeightCache } from './weight-cache.js';

/** TensorFlow.js has one engine per process: everything that all backends ask of it is done one after the other. */
let last: Promise<unknown> = Promise.resolve();

interface Opened extends Runtime {
  readonly weights: WeightCache;
}

@BACKENDS.register()
export class TfjsBackend implements Backend {
  static readonly options = {
    description:
      'Runs programs operation by operation with TensorFlow.js: on TensorFlow when tfjs-node-gpu or tfjs-node is installed, else in plain JavaScript.',
    type: 'object',
    additionalProperties: false,
    properties: {
      device: {
        type: 'string',
        enum: ['auto', 'gpu', 'cpu', 'webgpu'],
        default: 'auto',
        description:
          'auto: tfjs-node-gpu, else tfjs-node, else plain JavaScript; gpu: one of the two, and only on a GPU; cpu: plain JavaScript; webgpu: tfjs-backend-webgpu, where there is WebGPU',
      },
    },
  } as const satisfies OptionsSchema;
  static readonly diagnose = diagnose;
  private opened: Promise<Opened> | undefined;
  private kind = '';
  private disposed = false;
  private readonly values = new Map<string, { tensor: TfjsTensor; dtype: DType }>();
  private readonly programs = new Set<TfjsProgram>();

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof TfjsBackend.options>,
    @inject(LOGGER) private readonly log: Logger,
  ) {}

  /** `tfjs`, and what it runs on once that is known. */
  get name(): string {
    return `tfjs${this.kind && ` ${this.kind}`}`;
  }

  readonly states: StateStore = {
    // A copy: TensorFlow.js may compute on the caller's own array.
    write: (name, value) =>
      this.inTurn(async ({ tf }) => this.put(name, toTfjs(tf, { ...value, data: value.data.slice() }), value.dtype)),
    type: (name) => this.inTurn(async () => ({ dtype: this.state(name).dtype, shape: this.state(name).tensor.shape })),
    read: (name) => this.inTurn(async () => this.read(name)),
    delete: (name) =>
      this.inTurn(async () => {
        this.values.get(name)?.tensor.dispose();
        this.values.delete(name);
      }),
  };

  async compile(program: Program): Promise<Executable> {
    const dtypes = new Map(Object.entries(program.updates ?? {}).map(([name, t]) => [name, t.dtype]));
    const states: States = {
      get: (name) => this.state(name).tensor,
      put: (name, value) => this.put(name, value, dtypes.get(name) as DType),
    };
    const named = <T>(work: Promise<T>): Promise<T> =>
      work.catch((error: Error) => {
        throw error.name === 'UserError'
          ? error
          : new Error(`${this.name}: program "${program.name}": ${error.message}`, { cause: error });
      });
    const loaded = await named(this.inTurn(({ tf, weights }) => TfjsProgram.load(tf, program, weights)));
    this.programs.add(loaded);
    return {
      run: (feeds) => named(this.inTurn(() => loaded.run(feeds, states))),
      dispose: () =>
        this.inTurn(async () => {
          if (this.programs.delete(loaded)) loaded.dispose();
        }),
    };
  }

  async dispose(): Promise<void> {
    if (this.opened && !this.disposed) {
      await this.inTurn(async () => {
        for (const program of this.programs) program.dispose();
        for (const { tensor } of this.values.values()) tensor.dispose();
        this.programs.clear();
        this.values.clear();
      });
    }
    this.disposed = true;
  }

  /** Does `work` when everything asked before is done, with this backend's device selected. */
  private inTurn<T>(work: (opened: Opened) => Promise<T>): Promise<T> {
    const result = last.then(async () => {
      if (this.disposed) throw new Error(`${this.name}: the backend was disposed`);
      const opened = await (this.opened ??= this.open());
      if (opened.tf.getBackend() !== opened.kind) await opened.tf.setBackend(opened.kind);
      return work(opened);
    });
    last = result.catch(() => undefined); // the next in line does not fail with this one
    return result;
  }

  private async open(): Promise<Opened> {
    const runtime = await openRuntime(this.opts.device, this.log);
    this.kind = runtime.kind;
    return { ...runtime, weights: new WeightCache(runtime.tf) };
  }

  private put(name: string, tensor: TfjsTensor, dtype: DType): void {
    this.values.get(name)?.tensor.dispose();
    this.values.set(name, { tensor, dtype });
  }

  private async read(name: string): Promise<HostTensor> {
    const { tensor, dtype } = this.state(name);
    return fromTfjs(tensor, dtype, tensor.shape);
  }

  private state(name: string): { tensor: TfjsTensor; dtype: DType } {
    const found = this.values.get(name);
    if (!found) throw new Error(`state "${name}" was never written`);
    return found;
  }
}

declare module '../../registry/kinds.js' {
  interface BackendMap {
    TfjsBackend: typeof TfjsBackend;
  }
}
