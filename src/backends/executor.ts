/** Compiles each program once, for the shapes it is fed, and runs it. */
import type { Backend, Executable, Feeds } from './backend.js';
import { compileFinite } from './finite.js';
import type { HostTensor } from '../tensor/host.js';
import type { Tensor } from '../tensor/tensor.js';

/** Replaces `parameter` leaves by the states (or values) that hold the chosen weights. */
export type Bind = (outputs: readonly Tensor[], weights: string) => Tensor[];

export class Executor {
  private readonly compiled = new Map<string, Promise<Executable>>();

  constructor(
    readonly backend: Backend,
    private readonly bind: Bind,
  ) {}

  /**
   * @param name with the shapes of the feeds, the key of the compiled program: equal keys must mean equal graphs
   * @param weights which values `parameter` leaves take
   * @throws UserError when a result is no number, naming the weight that is to blame
   */
  async run<Name extends string>(
    name: string,
    weights: string,
    build: () => Readonly<Record<Name, Tensor>>,
    feeds: Feeds,
  ): Promise<Readonly<Record<Name, HostTensor>>> {
    const shapes = Object.entries(feeds)
      .map(([key, t]) => `${key}:${t.dtype}[${t.shape}]`)
      .sort();
    const key = [name, weights, ...shapes].join('|');
    let executable = this.compiled.get(key);
    if (!executable) {
      executable = this.compile(name, weights, build());
      this.compiled.set(key, executable);
      executable.catch(() => this.compiled.delete(key)); // the caller has the error; there is nothing to free
    }
    return (await (await executable).run(feeds)) as Readonly<Record<Name, HostTensor>>; // a program gives all its outputs
  }

  private compile(name: string, weights: string, outputs: Record<string, Tensor>): Promise<Executable> {
    const names = Object.keys(outputs);
    const bound = this.bind(
      names.map((n) => outputs[n]),
      weights,
    );
    return compileFinite(this.backend, {
      name,
      outputs: Object.fromEntries(names.map((n, i) => [n, bound[i]])),
    });
  }

  /** Frees the programs; the backend stays. */
  async dispose(): Promise<void> {
    for (const executable of this.compiled.values()) await (await executable).dispose();
    this.compiled.clear();
  }
}
