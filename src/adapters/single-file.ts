/** LoRA in one file for several networks: as diffusers saves it, and as kohya's scripts and A1111 / ComfyUI read it. */
import { UserError } from '../base/errors.js';
import { float32, floats, sizeOf, type HostTensor, type Shape } from '../tensor/host.js';
import { openSafetensors, writeSafetensors } from '../formats/safetensors/safetensors.js';
import type { AdapterValues, Side } from './lora-adapter.js';
import { adaptableModules, configuredPair, pairOf, type LoraConfig } from './lora-config.js';
import { baseMetadata, checkBase, type BaseRecord } from './peft.js';

export type Part = 'unet' | 'text_encoder';
export type PartParameters = Readonly<Record<Part, ReadonlyMap<string, Shape>>>;
export type PartValues = Partial<Record<Part, AdapterValues>>;

const PARTS = ['unet', 'text_encoder'] as const;
const KOHYA: Readonly<Record<Part, string>> = { unet: 'lora_unet_', text_encoder: 'lora_te_' };
/** Where diffusers 0.34 and later keep r, lora_alpha and patterns, as JSON with keys `<part>.<field>`. */
const DIFFUSERS_CONFIG = 'lora_adapter_metadata';

type Field = Side | 'alpha';
interface Place {
  readonly part: Part;
  readonly module: string;
  readonly field: Field;
}
type Found = Map<string, Partial<Record<Field, HostTensor>>>;

/** Reads either kind, told apart by its keys. @throws UserError naming the first key that fits nothing */
export async function loadSingleFile(path: string, parameters: PartParameters, base?: BaseRecord): Promise<PartValues> {
  const file = await openSafetensors(path),
    keys = [...file.entries.keys()];
  if (base) checkBase(path, file.metadata, base);
  const modules = { unet: adaptableModules(parameters.unet), text_encoder: adaptableModules(parameters.text_encoder) };
  const kohya = keys.some((k) => PARTS.some((part) => k.startsWith(KOHYA[part])));
  const place = kohya ? kohyaPlaces(modules) : diffusersPlace;
  const found: Record<Part, Found> = { unet: new Map(), text_encoder: new Map() };
  for (const key of keys) {
    const at = place(key);
    if (!at)
      throw new UserError(
        `${path}: key "${key}" is not of a diffusers or kohya LoRA of this model; expected unet.*, text_encoder.*, lora_unet_*, lora_te_*`,
      );
    if (!modules[at.part].has(at.module))
      throw new UserError(`${path}: "${key}" fits no module of this model; the LoRA is for another base model`);
    found[at.part].set(at.module, { ...found[at.part].get(at.module), [at.field]: await file.readFloat32(key) });
  }
  const config = parseConfig(path, file.metadata[DIFFUSERS_CONFIG]);
  const out: PartValues = {};
  for (const part of PARTS)
    if (found[part].size > 0) out[part] = pairsOf(path, found[part], modules[part], config[part]);
  if (!out.unet && !out.text_encoder) throw new UserError(`${path}: holds no tensors; it is not a LoRA`);
  return out;
}

function pairsOf(
  path: string,
  found: Found,
  modules: ReadonlyMap<string, Shape>,
  config: LoraConfig | undefined,
): AdapterValues {
  const values = new Map<string, { lora_A: HostTensor; lora_B: HostTensor; scale: number }>();
  for (const [module, { lora_A, lora_B, alpha }] of found) {
    if (!lora_A || !lora_B)
      throw new UserError(`${path}: module "${module}" has only one of its two matrices; save the LoRA again`);
    const rank = lora_A.shape[0],
      shape = modules.get(module) as Shape;
    // Without a stored alpha the loaders of both kinds take alpha = r, a scale of 1.
    const configured =
      config && !alpha ? configuredPair(config, module, shape, `${path} (${DIFFUSERS_CONFIG})`).scale : undefined;
    const pair = pairOf(module, shape, rank, configured ?? (alpha ? floats(alpha)[0] : rank) / rank);
    if (sizeOf(lora_A.shape) !== sizeOf(pair.shapeA) || sizeOf(lora_B.shape) !== sizeOf(pair.shapeB)) {
      throw new UserError(
        `${path}: module "${module}" has A [${lora_A.shape}] and B [${lora_B.shape}], this model needs [${pair.shapeA}] and [${pair.shapeB}]; the LoRA is for another base model`,
      );
    }
    values.set(module, {
      lora_A: float32(floats(lora_A), pair.shapeA),
      lora_B: float32(floats(lora_B), pair.shapeB),
      scale: pair.scale,
    });
  }
  return values;
}

/** Ends of diffusers' keys: today's, 0.20's, text encoders' of 0.17 to 0.26, and attention processors' before. */
const DIFFUSERS_ENDS: readonly (readonly [RegExp, Field, string])[] = [
  [/\.(?:lora_A|lora\.down|lora_linear_layer\.down)\.weight$/, 'lora_A', ''],
  [/\.(?:lora_B|lora\.up|lora_linear_layer\.up)\.weight$/, 'lora_B', ''],
  [/\.processor\.(to_[qkv])_lora\.down\.weight$/, 'lora_A', '.$1'],
  [/\.processor\.(to_[qkv])_lora\.up\.weight$/, 'lora_B', '.$1'],
  [/\.processor\.to_out_lora\.down\.weight$/, 'lora_A', '.to_out.0'],
  [/\.processor\.to_out_lora\.up\.weight$/, 'lora_B', '.to_out.0'],
  [/(?:\.lora)?\.alpha$/, 'alpha', ''],
];

function diffusersPlace(key: string): Place | undefined {
  const end = DIFFUSERS_ENDS.find(([pattern]) => pattern.test(key));
  // `save_attn_procs` of the U-Net wrote no prefix.
  const part = PARTS.find((p) => key.startsWith(`${p}.`)) ?? (key.includes('.processor.') ? 'unet' : undefined);
  if (!end || !part) return undefined;
  const [pattern, field, tail] = end;
  return { part, field, module: key.replace(`${part}.`, '').replace(pattern, tail) };
}

/** Underscored names lose where the dots were: only the modules of the model tell. */
function kohyaPlaces(modules: Readonly<Record<Part, ReadonlyMap<string, Shape>>>): (key: string) => Place | undefined {
  const places = new Map(
    PARTS.flatMap((part) =>
      [...modules[part].keys()].map(
        (module) => [`${KOHYA[part]}${module.replaceAll('.', '_')}`, { part, module }] as const,
      ),
    ),
  );
  const fields: Readonly<Record<string, Field>> = {
    'lora_down.weight': 'lora_A',
    'lora_up.weight': 'lora_B',
    alpha: 'alpha',
  };
  return (key) => {
    const [name, ...rest] = key.split('.'),
      at = places.get(name),
      field = fields[rest.join('.')];
    return at && field && { ...at, field };
  };
}

function parseConfig(path: string, text: string | undefined): Partial<Record<Part, LoraConfig>> {
  if (text === undefined) return {};
  try {
    const raw = JSON.parse(text) as Record<string, unknown>,
      config: Partial<Record<Part, LoraConfig>> = {};
    for (const part of PARTS) {
      const own = Object.entries(raw)
        .filter(([key]) => key.startsWith(`${part}.`))
        .map(([key, value]) => [key.slice(part.length + 1), value] as const);
      if (own.some(([key]) => key === 'lora_alpha')) config[part] = Object.fromEntries(own) as unknown as LoraConfig;
    }
    return config;
  } catch (error) {
    throw new UserError(
      `${path}: its metadata "${DIFFUSERS_CONFIG}" is not JSON (${(error as Error).message}); save the LoRA again`,
      { cause: error },
    );
  }
}

/** diffusers' `pytorch_lora_weights.safetensors`. It holds no alpha, so the scale is folded into B. */
export async function saveDiffusersLora(path: string, parts: PartValues, base: BaseRecord): Promise<void> {
  const tensors: Record<string, HostTensor> = {};
  for (const [part, values] of Object.entries(parts))
    for (const [module, { lora_A, lora_B, scale }] of values) {
      tensors[`${part}.${module}.lora_A.weight`] = lora_A;
      tensors[`${part}.${module}.lora_B.weight`] =
        scale === 1
          ? lora_B
          : float32(
              floats(lora_B).map((v) => v * scale),
              lora_B.shape,
            );
    }
  await writeSafetensors(path, tensors, baseMetadata(base));
}

/** kohya's format, which A1111 and ComfyUI load: underscored module names and an alpha per module. */
export async function saveKohyaLora(path: string, parts: PartValues, base: BaseRecord): Promise<void> {
  const tensors: Record<string, HostTensor> = {};
  for (const [part, values] of Object.entries(parts))
    for (const [module, { lora_A, lora_B, scale }] of values) {
      const name = `${KOHYA[part as Part]}${module.replaceAll('.', '_')}`;
      tensors[`${name}.lora_down.weight`] = lora_A;
      tensors[`${name}.lora_up.weight`] = lora_B;
      tensors[`${name}.alpha`] = float32([scale * lora_A.shape[0]], []);
    }
  await writeSafetensors(path, tensors, { ...baseMetadata(base), ss_network_module: 'networks.lora' });
}
