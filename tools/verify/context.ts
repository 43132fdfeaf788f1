/** A folder of reference numbers, the models in it, and what was found when comparing. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Backend } from '../../src/backends/backend.js';
import { UserError } from '../../src/base/errors.js';
import { studentConfig, studentWeights, type BlockRemoval } from '../../src/models/block-removal.js';
import { parseClipTextConfig, type ClipTextConfig } from '../../src/networks/clip-text.js';
import type { RawConfig } from '../../src/networks/component-config.js';
import { FrozenSource } from '../../src/formats/frozen-source.js';
import { recorded, recordUnet } from '../../src/networks/record.js';
import type { ClipTokenizer } from '../../src/formats/tokenizers/clip-tokenizer.js';
import { loadTokenizer } from '../../src/formats/tokenizers/load-tokenizer.js';
import { parseUNetConfig, type UNetConfig } from '../../src/networks/unet-config.js';
import { parseVaeConfig, type VaeConfig } from '../../src/networks/vae-config.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import type { WeightFile } from '../../src/formats/weight-file.js';
import { float32, int32, type HostTensor, type Shape } from '../../src/tensor/host.js';
import { input, type Tensor } from '../../src/tensor/tensor.js';
import type { Report } from './report.js';

export interface LoadedUNet {
  readonly config: UNetConfig;
  readonly source: FrozenSource;
  readonly shapes: ReadonlyMap<string, Shape>;
}
export interface ReferenceEntry {
  readonly meta?: Record<string, unknown> | null;
  readonly tensors?: Record<string, unknown>;
  readonly fp32_noise?: { readonly 'by_prefix(max_abs,max_rel)'?: Readonly<Record<string, readonly [number, number]>> };
}

/** A component that the checks need is in neither folder. */
export class AbsentError extends UserError {}

export class Golden {
  readonly index: Readonly<Record<string, ReferenceEntry>>;
  private readonly unets = new Map<string, LoadedUNet>();
  private readonly unread = new Map<string, Set<string>>();

  /** @param fallback another such folder, for the components this one lacks */
  constructor(
    readonly folder: string,
    private readonly fallback: string | undefined,
    readonly backend: Backend,
    readonly report: Report,
  ) {
    this.index = readPythonJson(join(folder, 'reference', 'index.json')) as Record<string, ReferenceEntry>;
  }

  /** A file of reference tensors; which of them are read is remembered. */
  async reference(file: string): Promise<WeightFile> {
    const opened = await openSafetensors(join(this.folder, 'reference', file)),
      unread = this.unread.get(file) ?? new Set(opened.entries.keys());
    this.unread.set(file, unread);
    const seen =
      <T>(read: (name: string) => T) =>
      (name: string): T => {
        unread.delete(name);
        return read(name);
      };
    return {
      ...opened,
      read: seen((name) => opened.read(name)),
      readFloat32: seen((name) => opened.readFloat32(name)),
    };
  }
  /** Tensors of a file that was checked and that nobody looked at. */
  skipped = (file: string): string[] => [...(this.unread.get(file) ?? [])];
  meta = <T>(file: string): T => (this.index[file].meta ?? {}) as T;

  /** How far the reference run itself is from one in float64, over the tensors of a prefix. */
  noise(file: string, prefix: string): { readonly abs: number; readonly rel: number } {
    const [abs, rel] = this.index[file].fp32_noise?.['by_prefix(max_abs,max_rel)']?.[prefix] ?? [0, 0];
    return { abs, rel };
  }

  /** A file or folder here, else in the fallback. */
  find(...names: string[]): string | undefined {
    return [this.folder, this.fallback]
      .flatMap((f) => (f === undefined ? [] : [join(f, ...names)]))
      .find((p) => existsSync(p));
  }

  /** The folder of a pipeline component, here or in the fallback. */
  private component(name: string): string {
    for (const root of [this.folder, this.fallback]) {
      if (root === undefined) continue;
      const owner = readdirSync(root)
        .sort()
        .find((d) => existsSync(join(root, d, name, MARKER[name] ?? 'config.json')));
      if (owner !== undefined) return join(root, owner, name);
    }
    throw new AbsentError(`${this.folder}: no folder with ${name}; add --fallback with one that has it`);
  }

  tokenizer = (): Promise<ClipTokenizer> => loadTokenizer(this.component('tokenizer'));

  async vae(): Promise<{ config: VaeConfig; source: FrozenSource }> {
    const dir = this.component('vae');
    return {
      config: parseVaeConfig(readPythonJson(join(dir, 'config.json')), dir),
      source: new FrozenSource(await openSafetensors(join(dir, 'diffusion_pytorch_model.safetensors'))),
    };
  }

  async text(): Promise<{ config: ClipTextConfig; source: FrozenSource }> {
    const dir = this.component('text_encoder');
    return {
      config: parseClipTextConfig(readPythonJson(join(dir, 'config.json')), dir),
      source: new FrozenSource(await openSafetensors(join(dir, 'model.safetensors'))),
    };
  }

  schedulerConfig(): RawConfig {
    return readPythonJson(join(this.component('scheduler'), 'scheduler_config.json'));
  }

  /** `base`, or a student: its own folder when there is one, else made of the base by block removal. */
  async unet(kind: string): Promise<LoadedUNet> {
    const known = this.unets.get(kind);
    if (known) return known;
    const base = this.baseUnet(),
      raw = kind === 'base' ? base.raw : studentConfig(base.raw, kind as BlockRemoval, base.dir);
    const weights = await openSafetensors(join(base.dir, 'diffusion_pytorch_model.safetensors'));
    const own = kind === 'base' ? undefined : this.unetFolders().find(({ raw: other }) => sameLayout(other, raw));
    const file =
      kind === 'base'
        ? weights
        : own
          ? await openSafetensors(join(own.dir, 'diffusion_pytorch_model.safetensors'))
          : studentWeights(weights, kind as BlockRemoval);
    const config = parseUNetConfig(raw, base.dir);
    const loaded = { config, source: new FrozenSource(file), shapes: recorded((s) => recordUnet(s, config)) };
    loaded.source.check(loaded.shapes, /^\b$/);
    this.unets.set(kind, loaded);
    return loaded;
  }

  private unetFolders(): { dir: string; raw: RawConfig }[] {
    return this.unetFoldersIn(this.folder);
  }

  private unetFoldersIn(root: string): { dir: string; raw: RawConfig }[] {
    return readdirSync(root)
      .sort()
      .map((d) => join(root, d, 'unet'))
      .filter((d) => existsSync(join(d, 'config.json')) && existsSync(join(d, 'diffusion_pytorch_model.safetensors')))
      .map((dir) => ({ dir, raw: readPythonJson(join(dir, 'config.json')) }));
  }

  /** The `*-sd-random` folder whose U-Net has a teacher's two layers per block, here or in the fallback. */
  private baseUnet(): { dir: string; raw: RawConfig } {
    const teachers = (root: string): { dir: string; raw: RawConfig }[] =>
      this.unetFoldersIn(root).filter(
        ({ dir, raw }) => /-sd-random[\\/]unet$/.test(dir) && Number(raw['layers_per_block'] ?? 2) === 2,
      );
    const own = teachers(this.folder);
    const found = own.length === 0 && this.fallback !== undefined ? teachers(this.fallback) : own;
    if (found.length === 0)
      throw new AbsentError(`${this.folder}: no *-sd-random/unet with layers_per_block 2; add --fallback with one`);
    if (found.length > 1)
      throw new UserError(
        `${this.folder}: ${found.length} folders *-sd-random/unet with layers_per_block 2; one is needed`,
      );
    return found[0];
  }
}

/** The file that makes a folder a component; an adapter's folder has none of them. */
const MARKER: Readonly<Record<string, string>> = { tokenizer: 'vocab.json', scheduler: 'scheduler_config.json' };
const LAYOUT = ['layers_per_block', 'mid_block_type', 'block_out_channels', 'down_block_types'];
const sameLayout = (a: RawConfig, b: RawConfig): boolean =>
  LAYOUT.every((k) => JSON.stringify(a[k]) === JSON.stringify(b[k]));

/** JSON as Python writes it: NaN and Infinity become null. */
export function readPythonJson(path: string): Record<string, unknown> {
  const text = readFileSync(path, 'utf8').replace(/(?<=[:[,]\s*)-?(?:Infinity|NaN)\b/g, 'null');
  return JSON.parse(text) as Record<string, unknown>;
}

/** int64 ids as the graphs take them. */
export const toInt32 = (t: HostTensor): HostTensor => int32(Int32Array.from(t.data as BigInt64Array, Number), t.shape);
/** A graph's input for a recorded tensor. */
export const leaf = (name: string, t: HostTensor): Tensor => input(name, t.shape, t.dtype);
export const toNumbers = (t: HostTensor): number[] => Array.from(t.data as ArrayLike<number | bigint>, Number);
export const asFloats = (t: HostTensor): HostTensor => float32(toNumbers(t), t.shape);
