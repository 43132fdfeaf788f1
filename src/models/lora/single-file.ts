/** LoRA in one file for several networks: as diffusers saves it, and as kohya's scripts and A1111 / ComfyUI read it. */
import { UserError } from '../../errors.js';
import { float32, floats, sizeOf, type HostTensor, type Shape } from '../../tensor/host.js';
import { openSafetensors, writeSafetensors } from '../weights/safetensors.js';
import type { WeightFile } from '../weights/weight-file.js';
import type { AdapterValues, Side } from './lora-adapter.js';
import { adaptableModules, pairOf } from './lora-config.js';
import { checkBase, type BaseRecord } from './peft.js';

export type Part = 'unet' | 'text_encoder';
export type PartParameters = Readonly<Record<Part, ReadonlyMap<string, Shape>>>;
export type PartValues = Partial<Record<Part, AdapterValues>>;

const KOHYA: Readonly<Record<Part, string>> = { unet: 'lora_unet_', text_encoder: 'lora_te_' };
/** Ends of diffusers' keys: today's, and the two older forms. */
const DIFFUSERS_SIDES: readonly (readonly [RegExp, Side])[] = [
  [/\.lora_A\.weight$|\.lora\.down\.weight$|\.lora_linear_layer\.down\.weight$/, 'lora_A'],
  [/\.lora_B\.weight$|\.lora\.up\.weight$|\.lora_linear_layer\.up\.weight$/, 'lora_B'],
];

/** Reads either kind, told apart by its keys. @throws UserError naming the first key that fits nothing */
export async function loadSingleFile(path: string, parameters: PartParameters, base?: BaseRecord): Promise<PartValues> {
  const file = await openSafetensors(path);
  if (base) checkBase(path, file.metadata, base);
  const kohya = [...file.entries.keys()].some((k) => k.startsWith(KOHYA.unet) || k.startsWith(KOHYA.text_encoder));
  const out: PartValues = {};
  for (const part of ['unet', 'text_encoder'] as const) {
    const values = await readPart(path, file, part, parameters[part], kohya);
    if (values.size > 0) out[part] = values;
  }
  const known = (key: string): boolean => (['unet', 'text_encoder'] as const).some((part) => key.startsWith(kohya ? KOHYA[part] : `${part}.`));
  const stray = [...file.entries.keys()].find((k) => !known(k));
  if (stray !== undefined || (!out.unet && !out.text_encoder)) throw new UserError(`${path}: key "${stray ?? ''}" is not of a diffusers or kohya LoRA; expected unet.*, text_encoder.*, lora_unet_*, lora_te_*`);
  return out;
}

async function readPart(path: string, file: WeightFile, part: Part, parameters: ReadonlyMap<string, Shape>, kohya: boolean): Promise<AdapterValues> {
  const modules = adaptableModules(parameters);
  const flat = new Map([...modules.keys()].map((m) => [m.replaceAll('.', '_'), m]));
  const found = new Map<string, Partial<Record<Side | 'alpha', HostTensor>>>();
  const prefix = kohya ? KOHYA[part] : `${part}.`;
  for (const key of file.entries.keys()) {
    if (!key.startsWith(prefix)) continue;
    const { module, side } = kohya ? kohyaKey(key.slice(prefix.length), flat) : diffusersKey(key.slice(prefix.length));
    if (module === undefined || !modules.has(module) || side === undefined) throw new UserError(`${path}: "${key}" fits no module of this model; the LoRA is for another base model`);
    const entry = found.get(module) ?? {};
    entry[side] = await file.readFloat32(key);
    found.set(module, entry);
  }
  const values = new Map<string, { lora_A: HostTensor; lora_B: HostTensor; scale: number }>();
  for (const [module, { lora_A, lora_B, alpha }] of found) {
    if (!lora_A || !lora_B) throw new UserError(`${path}: module "${module}" has only one of its two matrices; save the LoRA again`);
    const rank = lora_A.shape[0];
    // diffusers stores no alpha: its loader takes alpha = r, a scale of 1.
    const pair = pairOf(module, modules.get(module) as Shape, rank, (alpha ? floats(alpha)[0] : rank) / rank);
    if (sizeOf(lora_A.shape) !== sizeOf(pair.shapeA) || sizeOf(lora_B.shape) !== sizeOf(pair.shapeB)) {
      throw new UserError(`${path}: module "${module}" has A [${lora_A.shape}] and B [${lora_B.shape}], this model needs [${pair.shapeA}] and [${pair.shapeB}]; the LoRA is for another base model`);
    }
    values.set(module, { lora_A: float32(floats(lora_A), pair.shapeA), lora_B: float32(floats(lora_B), pair.shapeB), scale: pair.scale });
  }
  return values;
}

function diffusersKey(key: string): { module?: string; side?: Side } {
  for (const [pattern, side] of DIFFUSERS_SIDES) if (pattern.test(key)) return { module: key.replace(pattern, ''), side };
  return {};
}

function kohyaKey(key: string, flat: ReadonlyMap<string, string>): { module?: string; side?: Side | 'alpha' } {
  const [name, ...rest] = key.split('.');
  const sides: Readonly<Record<string, Side | 'alpha'>> = { 'lora_down.weight': 'lora_A', 'lora_up.weight': 'lora_B', alpha: 'alpha' };
  return { module: flat.get(name), side: sides[rest.join('.')] };
}

/** diffusers' `pytorch_lora_weights.safetensors`. It holds no alpha, so the scale is folded into B. */
export async function saveDiffusersLora(path: string, parts: PartValues, base: BaseRecord): Promise<void> {
  const tensors: Record<string, HostTensor> = {};
  for (const [part, values] of Object.entries(parts)) for (const [module, { lora_A, lora_B, scale }] of values) {
    tensors[`${part}.${module}.lora_A.weight`] = lora_A;
    tensors[`${part}.${module}.lora_B.weight`] = scale === 1 ? lora_B : float32(floats(lora_B).map((v) => v * scale), lora_B.shape);
  }
  await writeSafetensors(path, tensors, { format: 'pt', base_model: base.model, base_fingerprint: base.fingerprint });
}

/** kohya's format, which A1111 and ComfyUI load: underscored module names and an alpha per module. */
export async function saveKohyaLora(path: string, parts: PartValues, base: BaseRecord): Promise<void> {
  const tensors: Record<string, HostTensor> = {};
  for (const [part, values] of Object.entries(parts)) for (const [module, { lora_A, lora_B, scale }] of values) {
    const name = `${KOHYA[part as Part]}${module.replaceAll('.', '_')}`;
    tensors[`${name}.lora_down.weight`] = lora_A;
    tensors[`${name}.lora_up.weight`] = lora_B;
    tensors[`${name}.alpha`] = float32([scale * lora_A.shape[0]], []);
  }
  await writeSafetensors(path, tensors, { format: 'pt', base_model: base.model, base_fingerprint: base.fingerprint, ss_network_module: 'networks.lora' });
}
