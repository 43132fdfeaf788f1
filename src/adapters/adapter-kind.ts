/**
 * What a kind of adapter is: a component, one kind, one file. A kind says which parameters it gives a module, what they
 * start from, and what weight the module then has. Layers, files, merging and training know no kind.
 */
import type { RandomStream } from '../base/rng.js';
import type { AdaptedLayer } from '../networks/layers/scope.js';
import { Registry } from '../registry/registry.js';
import type { HostTensor, Shape } from '../tensor/host.js';
import { sub } from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Targets } from './targets.js';

/** Gives the tensor of a part by its name, such as `lora_A.weight`. */
export type Leaf = (part: string) => Tensor;
/** Values of one module's parts, by their names. */
export type PartTensors = Readonly<Record<string, HostTensor>>;

export abstract class ModuleAdapter {
  /** Trainable parameters: names as PEFT saves them below the module's, and shapes. */
  abstract readonly parts: ReadonlyMap<string, Shape>;

  /** @param shape of the module's weight, [out, in] or [O, C, kh, kw] */
  constructor(readonly shape: Shape) {}

  /**
   * The module's weight with the adapter in it; what merging writes.
   * @param weight frozen, of the module's shape
   * @param strength 1 as trained, 0 gives `weight` back
   */
  abstract weight(weight: Tensor, part: Leaf, strength: number): Tensor;

  /** What the module answers: `weight` applied, unless a kind knows a cheaper way to the same numbers. */
  answer(layer: AdaptedLayer, part: Leaf, strength: number): Tensor {
    return layer.apply(this.weight(layer.weight, part, strength), layer.bias);
  }

  /** What it adds to the answer of the frozen weight. */
  change(layer: AdaptedLayer, part: Leaf, strength: number): Tensor {
    return sub(this.answer(layer, part, strength), layer.apply(layer.weight, layer.bias));
  }

  /**
   * Start values of the parts.
   * @param draw a stream of random numbers per part, which depends on (seed, module, part) only
   * @param weight of the frozen module, float32
   */
  abstract start(draw: (part: string) => RandomStream, weight: () => Promise<HostTensor>): Promise<PartTensors>;

  /**
   * Constants beside the parts that follow from the frozen weight, such as what was taken out of it at the start. `weight`
   * and `answer` get them from `part` as well, under names that are no parts.
   */
  async constants(_weight: () => Promise<HostTensor>): Promise<PartTensors> {
    return {};
  }

  /** The same change of the plain frozen weight, for readers that know no constants. */
  withoutConstants(values: PartTensors, _constants: PartTensors): TrainedModule {
    return { adapter: this, values };
  }
}

/** A trained module. */
export interface TrainedModule {
  readonly adapter: ModuleAdapter;
  readonly values: PartTensors;
}

/**
 * How a kind stands in files of kohya's scripts and of LyCORIS, which A1111 and ComfyUI read: tensors below a module's
 * name. A kind that such files cannot hold has none. Static, as `lycoris` of the kind's class.
 */
export interface LycorisForm {
  /** Ends of keys that only this kind has. */
  readonly marks: readonly string[];
  /** @param shape of the module's weight @param where names file and module, for errors @throws UserError when it does not fit */
  read(tensors: PartTensors, shape: Shape, where: string): TrainedModule;
  write(module: TrainedModule): PartTensors;
}

/** What the class of a kind says beside its options; all of it may be missing. */
export interface KindClass {
  /** whether a module is of this kind */
  holds?(adapter: ModuleAdapter): boolean;
  /** PEFT's options that give just these modules; without it, adapters of the kind export by no --format peft */
  describe?(modules: ReadonlyMap<string, ModuleAdapter>): PeftOptions;
  readonly lycoris?: LycorisForm;
  /** @throws UserError for an adapter_config.json whose numbers mean something else than ours */
  checkPeft?(raw: PeftOptions, where: string): void;
}

/** Options as they stand in PEFT's adapter_config.json. */
export type PeftOptions = Readonly<Record<string, unknown>>;

export abstract class AdapterKind {
  /** `peft_type` in adapter_config.json: the name in the registry, in capitals, as PEFT has it. */
  get peftType(): string {
    return this.constructor.name.toUpperCase();
  }

  /** null: the projections of attention. */
  abstract readonly targets: Targets | null;

  /** @param name of the module @param shape of its weight @param where for errors @throws UserError when it does not fit */
  abstract module(name: string, shape: Shape, where: string): ModuleAdapter;

  /** The options of adapter_config.json that describe the trained adapter, beside those that all kinds share. */
  abstract peftOptions(): PeftOptions;
}

export const ADAPTERS = new Registry<AdapterKind>('ADAPTERS', 'adapter');

/** Every registered kind with what its class says. */
export const adapterKinds = (): {
  readonly name: string;
  readonly Kind: KindClass & (new (options: object) => AdapterKind);
}[] =>
  // The registry knows classes by their options alone; what is static beside those is optional, so any class has it.
  ADAPTERS.names().map((name) => ({ name, Kind: ADAPTERS.get(name) as never }));
