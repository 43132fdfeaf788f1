/** LoRA options with PEFT's names and meaning (peft 0.8, LoraConfig). */
import { closest } from 'fastest-levenshtein';
import { UserError } from '../base/errors.js';
import type { Shape } from '../tensor/host.js';

/** Schema of `unet_lora_config`; null switches LoRA off. */
export const loraSchema = {
  type: ['object', 'null'],
  additionalProperties: false,
  required: ['type'],
  properties: {
    type: { type: 'string', const: 'LoRA', description: 'the only adapter kind' },
    r: { type: 'integer', minimum: 1, default: 8, description: 'rank of the update' },
    lora_alpha: { type: 'number', default: 8, description: 'the update is scaled by lora_alpha / r' },
    target_modules: {
      type: ['array', 'string'],
      items: { type: 'string' },
      default: ['to_q', 'to_k', 'to_v', 'to_out.0'],
      description: 'ends of module names, or one regular expression for whole names',
    },
    lora_dropout: { enum: [0], default: 0, description: 'must be 0: a step depends on its seed and data only' },
    bias: { enum: ['none'], default: 'none', description: 'must be none: biases are not trained' },
    use_rslora: { type: 'boolean', default: false, description: 'scale by lora_alpha / sqrt(r)' },
    init_lora_weights: {
      enum: [true, 'gaussian'],
      default: true,
      description: 'start of A: uniform as torch.nn.Linear, or normal with deviation 1 / r; B starts at zero',
    },
    rank_pattern: {
      type: 'object',
      additionalProperties: { type: 'integer', minimum: 1 },
      default: {},
      description: 'r for modules whose name ends so (regular expressions)',
    },
    alpha_pattern: {
      type: 'object',
      additionalProperties: { type: 'number' },
      default: {},
      description: 'lora_alpha for modules whose name ends so (regular expressions)',
    },
  },
} as const;

/** Schema of `text_encoder_lora_config`: CLIP's layers have other names. */
export const textLoraSchema = {
  ...loraSchema,
  properties: {
    ...loraSchema.properties,
    target_modules: { ...loraSchema.properties.target_modules, default: ['q_proj', 'k_proj', 'v_proj', 'out_proj'] },
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

const WEIGHT = '.weight';
/** Looked up by row, not multiplied. */
const TABLE = /(^|\.)(token|position)_embedding\.weight$/;

/** Modules that can be adapted: linear layers and convolutions, by the shapes of a model's parameters. */
export function adaptableModules(parameters: ReadonlyMap<string, Shape>): Map<string, Shape> {
  const modules = new Map<string, Shape>();
  for (const [name, shape] of parameters) {
    if (name.endsWith(WEIGHT) && (shape.length === 2 || shape.length === 4) && !TABLE.test(name))
      modules.set(name.slice(0, -WEIGHT.length), shape);
  }
  return modules;
}

/**
 * The pairs of every module that the config names.
 * @param where for errors, e.g. `model.unet_lora_config`
 * @throws UserError when a target names no module
 */
export function resolvePairs(
  config: LoraConfig,
  modules: ReadonlyMap<string, Shape>,
  where: string,
): Map<string, LoraPair> {
  const { target_modules: targets } = config,
    names = [...modules.keys()];
  const chosen = names.filter((name) => isTarget(config, name, where));
  const unused =
    typeof targets === 'string'
      ? chosen.length === 0
        ? targets
        : undefined
      : targets.find((t) => !names.some((n) => endsWith(n, t)));
  if (unused !== undefined || chosen.length === 0) {
    const tails = [...new Set(names.flatMap((n) => [n.split('.').slice(-1)[0], n.split('.').slice(-2).join('.')]))];
    throw new UserError(
      `${where}.target_modules: "${unused ?? ''}" names no linear or convolution module; did you mean "${closest(unused ?? '', tails)}"?`,
    );
  }
  return new Map(chosen.map((module) => [module, configuredPair(config, module, modules.get(module) as Shape, where)]));
}

/** As PEFT: a list holds ends of names, at a dot; a string is a regular expression for the whole name. */
export function isTarget({ target_modules: targets }: LoraConfig, module: string, where: string): boolean {
  return typeof targets === 'string'
    ? pattern(`^(?:${targets})$`, where, 'target_modules').test(module)
    : targets.some((t) => endsWith(module, t));
}

/** The pair that the config gives a module, whether or not it is a target. @param weight shape of the module's weight */
export function configuredPair(config: LoraConfig, module: string, weight: Shape, where: string): LoraPair {
  // PEFT's get_pattern_key: the first expression that fits the end of the name, at a dot.
  const own = (key: 'rank_pattern' | 'alpha_pattern'): unknown =>
    Object.entries(config[key] ?? {}).find(([end]) => pattern(`^(?:.*\\.)?(?:${end})$`, where, key).test(module))?.[1];
  const rank = Number(own('rank_pattern') ?? config.r),
    alpha = Number(own('alpha_pattern') ?? config.lora_alpha);
  return pairOf(module, weight, rank, alpha / (config.use_rslora ? Math.sqrt(rank) : rank));
}

export function pairOf(module: string, [out, ...rest]: Shape, rank: number, scale: number): LoraPair {
  return { module, shapeA: [rank, ...rest], shapeB: [out, rank, ...rest.slice(1).map(() => 1)], scale };
}

const endsWith = (name: string, tail: string): boolean => name === tail || name.endsWith(`.${tail}`);

function pattern(source: string, where: string, key: string): RegExp {
  try {
    return new RegExp(source);
  } catch (error) {
    throw new UserError(
      `${where}.${key}: ${(error as Error).message}; a list of module names needs no regular expression`,
      { cause: error },
    );
  }
}
