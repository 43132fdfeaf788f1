/**
 * Files of kohya's scripts and of LyCORIS, which A1111 and ComfyUI read: underscored module names, an alpha per module, and
 * a kind per module, told by the ends of its keys.
 */
import { UserError } from '../base/errors.js';
import { writeSafetensors, type WriteProgress } from '../formats/safetensors/safetensors.js';
import type { WeightFile } from '../formats/weight-file.js';
import type { HostTensor, Shape } from '../tensor/host.js';
import { adapterKinds, type LycorisForm, type ModuleAdapter, type TrainedModule } from './adapter-kind.js';
import { baseMetadata, type BaseRecord } from './base-record.js';
import type { AdapterValues } from './network-adapter.js';
import { PARTS, type Part, type PartValues } from './parts.js';
import { readSmall } from './read-small.js';
import { outerName, type TargetLibraries } from './text-encoder-names.js';
import './loha.js';
import './lokr.js';
import './lora.js';

/** What module names start with; the first one is written. kohya's scripts for several text encoders number them. */
const PREFIXES: Readonly<Record<Part, readonly string[]>> = {
  unet: ['lora_unet_'],
  text_encoder: ['lora_te_', 'lora_te1_'],
};
/** Other networks and other contents of such files, and what to do about them. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/^lora_te2_/, 'a LoRA of a second text encoder, which SDXL has; it is for another base model'],
  [
    /^lora_(?:transformer|single_transformer)|^transformer\./,
    'a LoRA of a transformer model (SD 3, Flux); it is for another base model',
  ],
  [/^bundle_emb\./, 'a bundled textual-inversion embedding (OneTrainer); save the LoRA without bundled embeddings'],
  [
    /\.oft_(?:blocks|diag)$/,
    'OFT of LyCORIS, which rotates outputs and is not supported; merge it with the tool that made it',
  ],
  [
    /\.(?:a|b)[12]\.weight$|\.bm\.weight$/,
    'GLoRA of LyCORIS, which is not supported; merge it with the tool that made it',
  ],
  [/\.on_input$/, '(IA)^3 of LyCORIS, which is not supported; merge it with the tool that made it'],
  [
    /\.(?:diff|diff_b|w_norm|b_norm)$/,
    'whole differences of weights, biases or norms (LyCORIS full, norm), which are not supported; merge it with the tool that made it',
  ],
];

export const isKohyaKey = (key: string): boolean =>
  /^lora_(?:unet|te\d?|transformer)_/.test(key) || FOREIGN.some(([pattern]) => pattern.test(key));

interface Place {
  readonly part: Part;
  readonly module: string;
}

/** @throws UserError naming the first key that fits nothing, and what it is */
export async function loadKohya(
  path: string,
  file: WeightFile,
  modules: Readonly<Record<Part, ReadonlyMap<string, Shape>>>,
): Promise<PartValues> {
  const places = placesOf(modules);
  const found = new Map<string, Place & { readonly tensors: Record<string, HostTensor> }>();
  for (const key of file.entries.keys()) {
    const foreign = FOREIGN.find(([pattern]) => pattern.test(key));
    if (foreign) throw new UserError(`${path}: "${key}" is ${foreign[1]}`);
    const [name, ...end] = key.split('.');
    const place = places.get(name);
    if (!place)
      throw new UserError(`${path}: "${key}" fits no module of this model; the adapter is for another base model`, {
        code: 'MODEL_MISMATCH',
      });
    const own = found.get(name) ?? { ...place, tensors: {} };
    own.tensors[end.join('.')] = await readSmall(file, key);
    found.set(name, own);
  }
  const values: Record<Part, Map<string, TrainedModule>> = { unet: new Map(), text_encoder: new Map() };
  for (const [name, { part, module, tensors }] of found) {
    const where = `${path}: module "${module}"`;
    const form = forms().find(({ marks }) => marks.some((mark) => mark in tensors));
    const strange = Object.keys(tensors).find((end) => !SHARED.has(end) && !form?.marks.includes(end));
    if (!form || strange !== undefined)
      throw new UserError(
        `${path}: "${name}.${strange ?? Object.keys(tensors)[0]}" is of no kind that is supported (LoRA, DoRA, LoHa, LoKr); merge the adapter with the tool that made it`,
      );
    values[part].set(module, form.read(tensors, modules[part].get(module) as Shape, where));
  }
  return Object.fromEntries(PARTS.filter((part) => values[part].size > 0).map((part) => [part, values[part]]));
}

/** Ends of keys beside those of a kind. */
const SHARED = new Set(['alpha', 'dora_scale', 'scalar']);

const forms = (): LycorisForm[] => adapterKinds().flatMap(({ Kind }) => Kind.lycoris ?? []);

/** Underscored names lose where the dots were: only the modules of the model tell. */
function placesOf(modules: Readonly<Record<Part, ReadonlyMap<string, Shape>>>): Map<string, Place> {
  const places = new Map<string, Place>();
  for (const part of PARTS)
    for (const module of modules[part].keys())
      for (const name of new Set([module, outerName(part, module, 'current')]))
        for (const prefix of PREFIXES[part]) places.set(prefix + name.replaceAll('.', '_'), { part, module });
  return places;
}

/** @throws UserError for a kind that such files cannot hold */
export async function saveKohya(
  path: string,
  parts: PartValues,
  base: BaseRecord,
  libraries: TargetLibraries = 'current',
  progress?: WriteProgress,
): Promise<void> {
  const tensors: Record<string, HostTensor> = {};
  const kinds = new Set<string>();
  for (const [part, values] of Object.entries(parts) as [Part, AdapterValues][])
    for (const [module, trained] of values) {
      const form = formOf(trained.adapter);
      kinds.add(form.kind);
      for (const [end, tensor] of Object.entries(form.write(trained)))
        for (const name of writtenNames(part, module, libraries)) tensors[`${name}.${end}`] = tensor;
    }
  const module = [...kinds].every((kind) => kind === 'LoRA') ? 'networks.lora' : 'lycoris.kohya';
  await writeSafetensors(path, tensors, { ...baseMetadata(base), ss_network_module: module }, progress);
}

/**
 * A1111 and ComfyUI know modules of the text encoder by their long names, diffusers looks for them under the names that
 * transformers gives them.
 */
const writtenNames = (part: Part, module: string, libraries: TargetLibraries): string[] =>
  [...new Set([outerName(part, module, libraries), module])].map(
    (name) => PREFIXES[part][0] + name.replaceAll('.', '_'),
  );

function formOf(adapter: ModuleAdapter): LycorisForm & { readonly kind: string } {
  const found = adapterKinds().find(({ Kind }) => Kind.holds?.(adapter));
  if (found?.Kind.lycoris) return { ...found.Kind.lycoris, kind: found.name };
  throw new UserError(
    `kohya: files of kohya's scripts and LyCORIS cannot hold this kind of adapter (${found?.name ?? adapter.constructor.name}); give --format peft, or merge it with merge-lora`,
  );
}
