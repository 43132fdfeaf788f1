/** One network of a pipeline during training: frozen, adapted, or trained whole. */
import { configJson } from '../formats/config-json.js';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Rng } from '../base/rng.js';
import { totalSizeOf, type HostTensor, type Shape } from '../tensor/host.js';
import { parameter } from '../tensor/tensor.js';
import type { RawConfig } from '../networks/component-config.js';
import type { FrozenSource } from '../formats/frozen-source.js';
import type { ParamSource } from '../networks/layers/scope.js';
import type { AdapterKind } from '../adapters/adapter-kind.js';
import { architectureHash, type BaseRecord } from '../adapters/base-record.js';
import { NetworkAdapter } from '../adapters/network-adapter.js';
import { savePeft } from '../adapters/peft.js';
import type { WeightSet } from '../sampling/sample-request.js';
import { writeSafetensors } from '../formats/safetensors/safetensors.js';

export type PartName = 'unet' | 'text_encoder' | 'vae';
export type Training =
  | { readonly kind: 'frozen' }
  /** @property except modules that keep their weights */
  | { readonly kind: 'whole'; readonly except?: RegExp }
  | { readonly kind: 'adapter'; readonly adapter: AdapterKind };

export class TrainedPart {
  /** Trainable parameters, named `<part>.<module>...`. */
  readonly parameters: ReadonlyMap<string, Shape>;
  private readonly adapter: NetworkAdapter | undefined;
  private readonly trained: ParamSource;

  /** @param shapes the network's own parameters @param config of its config.json @throws UserError when a target of the adapter names no module */
  constructor(
    readonly name: PartName,
    private readonly frozenSource: FrozenSource,
    private readonly shapes: ReadonlyMap<string, Shape>,
    private readonly training: Training,
    private readonly config: RawConfig,
  ) {
    if (training.kind === 'adapter') {
      this.adapter = new NetworkAdapter(training.adapter, name, shapes, `model.${name}_lora_config`);
      this.parameters = this.adapter.parameters;
      this.trained = this.adapter.source(frozenSource);
    } else if (training.kind === 'whole') {
      const learnt = [...shapes].filter(([key]) => !training.except?.test(key));
      this.parameters = new Map(learnt.map(([key, shape]) => [`${name}.${key}`, shape]));
      const leaves = new Map(learnt.map(([key, shape]) => [key, parameter(`${name}.${key}`, shape)]));
      this.trained = { get: (key, shape) => leaves.get(key) ?? frozenSource.get(key, shape) };
    } else {
      this.parameters = new Map();
      this.trained = frozenSource;
    }
  }

  get frozen(): boolean {
    return this.training.kind === 'frozen';
  }

  /** Number of values that training does not change. */
  get frozenCount(): number {
    return totalSizeOf(this.shapes) - (this.training.kind === 'whole' ? totalSizeOf(this.parameters) : 0);
  }

  private readonly frozenWeight = (module: string): Promise<HostTensor> => this.stored(`${module}.weight`);

  source(weights: WeightSet): ParamSource {
    return weights === 'base' ? this.frozenSource : this.trained;
  }

  /** Computes what an adapter takes from the frozen weights; before the first program. */
  async prepare(): Promise<void> {
    await this.adapter?.prepare(this.frozenWeight);
  }

  async initialValues(rng: Rng): Promise<Record<string, HostTensor>> {
    if (this.adapter) return this.adapter.start(rng, this.frozenWeight);
    const values: Record<string, HostTensor> = {};
    for (const key of this.shapes.keys()) {
      const name = `${this.name}.${key}`;
      if (this.parameters.has(name)) values[name] = await this.stored(key);
    }
    return values;
  }

  private async stored(key: string): Promise<HostTensor> {
    const value = await this.frozenSource.weights.readFloat32(this.frozenSource.storedName(key));
    return { ...value, shape: this.shapes.get(key) as Shape };
  }

  /**
   * Writes what was trained below `folder`: a PEFT adapter, or the component with its config.json.
   * @param config to write instead of the one that was read
   */
  async save(
    folder: string,
    values: Readonly<Record<string, HostTensor>>,
    base: BaseRecord,
    config: RawConfig = this.config,
  ): Promise<void> {
    const target = join(folder, this.name);
    if (this.adapter) {
      const { kind, targets } = this.adapter;
      const description = { peftType: kind.peftType, options: kind.peftOptions(), targets };
      const record = { ...base, architecture: architectureHash(this.shapes) };
      await savePeft(target, this.name, description, this.adapter.trained(values), record);
    }
    if (this.training.kind !== 'whole') return;
    await mkdir(target, { recursive: true });
    const stem = this.name === 'text_encoder' ? 'model' : 'diffusion_pytorch_model';
    const tensors: Record<string, HostTensor> = {};
    for (const key of this.shapes.keys()) tensors[key] = values[`${this.name}.${key}`] ?? (await this.stored(key));
    await writeSafetensors(join(target, `${stem}.safetensors`), tensors, {
      format: 'pt',
      base_model: base.model,
      base_fingerprint: base.fingerprint,
    });
    await writeFile(join(target, 'config.json'), configJson(config));
  }
}
