/** LoRA options with PEFT's names and meaning (peft 0.8, LoraConfig). */
import { closest } from 'fastest-levenshtein';
import { UserError } from '../../errors.js';
import type { Shape } from '../../tensor/host.js';

/** Schema of `unet_lora_config` and `text_encoder_lora_config`; null switches LoRA off. */
export const loraSchema = {
  type: ['object', 'null'],
  additionalProperties: false,
  required: ['type'],
  properties: {
    type: { type: 'string', const: 'LoRA', description: 'the only adapter kind' },
    r: { type: 'integer', minimum: 1, default: 8, description: 'rank of the update' },
    lora_alpha: { type: 'number', default: 8, description: 'the update is scaled by lora_alpha / r' },
    target_modules: { type: ['array', 'string'], items: { type: 'string' }, default: ['to_q', 'to_k', 'to_v', 'to_out.0'], description: 'ends of module names, or one regular expression for whole names' },
    use_rslora: { type: 'boolean', default: false, description: 'scale by lora_alpha / sqrt(r)' },
    init_lora_weights: { enum: [true, 'gaussian'], default: true, description: 'start of A: uniform as torch.nn.Linear, or normal with deviation 1 / r; B starts at zero' },
    rank_pattern: { type: 'object', additionalProperties: { type: 'integer', minimum: 1 }, default: {}, description: 'r for modules whose name ends so' },
    alpha_pattern: { type: 'object', additionalProperties: { type: 'number' }, default: {}, description: 'lora_alpha for modules whose name ends so' },
  },
} as const;

export interface LoraConfig {
  readonly r: number;
  readonly lora_alpha: number;
  readonly target_modules: readonly string[] | string;
  readonly use_rslora?: boolean;
  readonly init_lora_weights?: unknown;
  readonly rank_pattern?: Readonly<Record<string, unknown>>;
  readonly alpha_pattern?: Readonly<Record<string, unknown>>;
}

/** One adapted module: W [out, in] or [O, C, kh, kw] gets + scale * B A. */
export interface LoraPair {
  readonly module: string;
  readonly shapeA: Shape;
  readonly shapeB: Shape;
  readonly scale: number;
}

/** Modules that can be adapted: linear layers and convolutions, by the shapes of a model's parameters. */
export function adaptableModules(parameters: ReadonlyMap<string, Shape>): Map<string, Shape> {
  const modules = new Map<string, Shape>();
  for (const [name, shape] of parameters) {
    if (name.endsWith('.weight') && (shape.length === 2 || shape.length === 4) && !name.includes('embedding.')) modules.set(name.slice(0, -'.weight'.length), shape);
  }
  return modules;
}

/**
 * The pairs of every module that the config names.
 * @param where for errors, e.g. `model.unet_lora_config`
 * @throws UserError when a target names no module
 */
export function resolvePairs(config: LoraConfig, modules: ReadonlyMap<string, Shape>, where: string): Map<string, LoraPair> {
  const names = [...modules.keys()];
  const { target_modules: targets } = config;
  const chosen = typeof targets === 'string' ? names.filter((n) => new RegExp(`^(?:${targets})$`).test(n)) : names.filter((n) => targets.some((t) => endsWith(n, t)));
  const unused = typeof targets === 'string' ? (chosen.length === 0 ? targets : undefined) : targets.find((t) => !names.some((n) => endsWith(n, t)));
  if (unused !== undefined || chosen.length === 0) {
    const tails = [...new Set(names.flatMap((n) => [n.split('.').slice(-1)[0], n.split('.').slice(-2).join('.')]))];
    throw new UserError(`${where}.target_modules: "${unused ?? ''}" names no linear or convolution module; did you mean "${closest(unused ?? '', tails)}"?`);
  }
  return new Map(chosen.map((module) => {
    const rank = Number(byPattern(config.rank_pattern, module) ?? config.r), alpha = Number(byPattern(config.alpha_pattern, module) ?? config.lora_alpha);
    const scale = alpha / (config.use_rslora ? Math.sqrt(rank) : rank);
    return [module, pairOf(module, modules.get(module) as Shape, rank, scale)];
  }));
}

export function pairOf(module: string, [out, ...rest]: Shape, rank: number, scale: number): LoraPair {
  return { module, shapeA: [rank, ...rest], shapeB: [out, rank, ...rest.slice(1).map(() => 1)], scale };
}

const endsWith = (name: string, tail: string): boolean => name === tail || name.endsWith(`.${tail}`);
const byPattern = (patterns: Readonly<Record<string, unknown>> | undefined, name: string): unknown => Object.entries(patterns ?? {}).find(([tail]) => endsWith(name, tail))?.[1];
