/** diffusers' `pytorch_lora_weights.safetensors`: LoRA and DoRA of several networks in one file. */
import { UserError } from '../base/errors.js';
import { writeSafetensors, type WriteProgress } from '../formats/safetensors/safetensors.js';
import type { WeightFile } from '../formats/weight-file.js';
import type { Output } from '../registry/schema.js';
import { validateComponent } from '../registry/validate.js';
import { float32, floats, type HostTensor, type Shape } from '../tensor/host.js';
import { ADAPTERS, type TrainedModule } from './adapter-kind.js';
import { baseMetadata, type BaseRecord } from './base-record.js';
import { A, B, LoRA, LoraModule, MAGNITUDE } from './lora.js';
import { fitted, scaleOf } from './lycoris-values.js';
import type { AdapterValues } from './network-adapter.js';
import { PARTS, type Part, type PartValues } from './parts.js';
import { readSmall } from './read-small.js';
import { innerName, outerName, type TargetLibraries } from './text-encoder-names.js';

/** Where diffusers 0.34 and later keep r, lora_alpha and patterns, as JSON with keys `<part>.<field>`. */
const METADATA = 'lora_adapter_metadata';

type Field = typeof A | typeof B | typeof MAGNITUDE | 'alpha';

/** Ends of keys: today's, 0.20's, text encoders' of 0.17 to 0.26 and of 0.16, and attention processors' before. */
const ENDS: readonly (readonly [RegExp, Field, string])[] = [
  [/\.(?:lora_A|lora\.down|lora_linear_layer\.down)\.weight$/, A, ''],
  [/\.(?:lora_B|lora\.up|lora_linear_layer\.up)\.weight$/, B, ''],
  [/\.lora_magnitude_vector(?:\.weight)?$/, MAGNITUDE, ''],
  [/\.processor\.(to_[qkv])_lora\.down\.weight$/, A, '.$1'],
  [/\.processor\.(to_[qkv])_lora\.up\.weight$/, B, '.$1'],
  [/\.processor\.to_out_lora\.down\.weight$/, A, '.to_out.0'],
  [/\.processor\.to_out_lora\.up\.weight$/, B, '.to_out.0'],
  [/\.self_attn\.to_([qkv]|out)_lora\.down\.weight$/, A, '.self_attn.$1_proj'],
  [/\.self_attn\.to_([qkv]|out)_lora\.up\.weight$/, B, '.self_attn.$1_proj'],
  [/(?:\.lora)?\.alpha$/, 'alpha', ''],
];

/** @throws UserError naming the first key that fits nothing */
export async function loadDiffusers(
  path: string,
  file: WeightFile,
  modules: Readonly<Record<Part, ReadonlyMap<string, Shape>>>,
): Promise<PartValues> {
  const found: Record<Part, Map<string, Partial<Record<Field, HostTensor>>>> = {
    unet: new Map(),
    text_encoder: new Map(),
  };
  for (const key of file.entries.keys()) {
    const at = place(key);
    if (!at)
      throw new UserError(
        `${path}: key "${key}" is not of a diffusers or kohya LoRA; expected unet.*, text_encoder.*, lora_unet_*, lora_te_*`,
      );
    if (!modules[at.part].has(at.module))
      throw new UserError(`${path}: "${key}" fits no module of this model; the LoRA is for another base model`, {
        code: 'MODEL_MISMATCH',
      });
    found[at.part].set(at.module, { ...found[at.part].get(at.module), [at.field]: await readSmall(file, key) });
  }
  const config = parseMetadata(path, file.metadata[METADATA]);
  const out: PartValues = {};
  for (const part of PARTS)
    if (found[part].size > 0)
      out[part] = new Map(
        [...found[part]].map(([module, fields]) => {
          const shape = modules[part].get(module) as Shape;
          return [
            module,
            trained(
              fields,
              shape,
              config[part]?.module(module, shape, `${path} (${METADATA})`),
              `${path}: module "${module}"`,
            ),
          ];
        }),
      );
  return out;
}

function place(key: string): { readonly part: Part; readonly module: string; readonly field: Field } | undefined {
  const end = ENDS.find(([pattern]) => pattern.test(key));
  // `save_attn_procs` of the U-Net wrote no prefix.
  const part = PARTS.find((p) => key.startsWith(`${p}.`)) ?? (key.includes('.processor.') ? 'unet' : undefined);
  if (!end || !part) return undefined;
  const [pattern, field, tail] = end;
  return { part, field, module: innerName(part, key.replace(`${part}.`, '').replace(pattern, tail)) };
}

/** @param configured by the file's metadata, when it has any */
function trained(
  { [A]: a, [B]: b, [MAGNITUDE]: magnitude, alpha }: Partial<Record<Field, HostTensor>>,
  shape: Shape,
  configured: LoraModule | undefined,
  where: string,
): TrainedModule {
  if (!a || !b) throw new UserError(`${where} has only one of its two matrices; save the LoRA again`);
  const rank = a.shape[0];
  // Without a stored alpha diffusers takes alpha = r, a scale of 1.
  const scale = alpha ? scaleOf({ alpha }, rank) : (configured?.settings.scale ?? 1);
  const adapter = new LoraModule(shape, { rank, scale, dora: magnitude !== undefined });
  const values = { [A]: a, [B]: b, ...(magnitude && { [MAGNITUDE]: magnitude }) };
  return {
    adapter,
    values: Object.fromEntries(
      [...adapter.parts].map(([name, own]) => [
        name,
        fitted(values[name as keyof typeof values] as HostTensor, own, `${where}: ${name}`),
      ]),
    ),
  };
}

function parseMetadata(path: string, text: string | undefined): Partial<Record<Part, LoRA>> {
  if (text === undefined) return {};
  let raw: Record<string, unknown>;
  try {
    raw = JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new UserError(
      `${path}: its metadata "${METADATA}" is not JSON (${(error as Error).message}); save the LoRA again`,
      { cause: error },
    );
  }
  const kinds: Partial<Record<Part, LoRA>> = {};
  for (const part of PARTS) {
    const of = (key: string): unknown => raw[`${part}.${key}`];
    const known = ['r', 'lora_alpha', 'use_rslora', 'use_dora', 'rank_pattern', 'alpha_pattern'];
    if (of('lora_alpha') == null) continue;
    const given = Object.fromEntries(known.filter((key) => of(key) != null).map((key) => [key, of(key)]));
    const options = validateComponent(ADAPTERS, { ...given, type: 'LoRA' }, `${path} (${METADATA})`);
    kinds[part] = new LoRA(options as Output<typeof LoRA.options>); // as the schema has just checked
  }
  return kinds;
}

/** The file holds no alpha, so the scale is folded into B. @throws UserError for kinds that diffusers does not load */
export async function saveDiffusers(
  path: string,
  parts: PartValues,
  base: BaseRecord,
  libraries: TargetLibraries = 'current',
  progress?: WriteProgress,
): Promise<void> {
  const tensors: Record<string, HostTensor> = {};
  for (const [part, values] of Object.entries(parts) as [Part, AdapterValues][])
    for (const [module, { adapter, values: own }] of values) {
      if (!(adapter instanceof LoraModule))
        throw new UserError(
          `diffusers: load_lora_weights takes LoRA and DoRA only, and this adapter is another kind (${adapter.constructor.name}); give --format peft or kohya, or merge it with merge-lora`,
        );
      const name = `${part}.${outerName(part, module, libraries)}`;
      const { scale, dora } = adapter.settings;
      tensors[`${name}.${A}`] = own[A];
      tensors[`${name}.${B}`] =
        scale === 1
          ? own[B]
          : float32(
              floats(own[B]).map((v) => v * scale),
              own[B].shape,
            );
      // With `.weight` the loaders of both networks take it; without, transformers leaves the text encoder's out.
      if (dora) tensors[`${name}.${MAGNITUDE}.weight`] = own[MAGNITUDE];
    }
  await writeSafetensors(path, tensors, baseMetadata(base), progress);
}
