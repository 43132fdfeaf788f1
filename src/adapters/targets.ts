/** Which modules of a network an adapter changes; names and meaning as in PEFT (tuners_utils.py). */
import { closest } from 'fastest-levenshtein';
import { UserError } from '../base/errors.js';
import type { Shape } from '../tensor/host.js';

/** As PEFT: a list holds ends of module names, at a dot; a string is a regular expression for whole names. */
export type Targets = readonly string[] | string;

/** Options that all kinds share. */
export const targetOption = {
  type: ['array', 'string', 'null'],
  items: { type: 'string' },
  default: null,
  description:
    'ends of module names, or one regular expression for whole names; null: the projections of the attention layers',
} as const;

/** A number for each module whose name ends so (regular expressions), in place of the one for all. */
export const rankPatternOption = {
  type: 'object',
  additionalProperties: { type: 'integer', minimum: 1 },
  default: {},
  description: 'r for modules whose name ends so (regular expressions)',
} as const;
export const alphaPatternOption = (option: string) =>
  ({
    type: 'object',
    additionalProperties: { type: 'number' },
    default: {},
    description: `${option} for modules whose name ends so (regular expressions)`,
  }) as const;

/** The projections of attention: in the U-Net as diffusers names them, in the text encoder as transformers does. */
const ATTENTION = {
  unet: ['to_q', 'to_k', 'to_v', 'to_out.0'],
  text_encoder: ['q_proj', 'k_proj', 'v_proj', 'out_proj'],
} as const;
export const defaultTargets = (part: string): Targets => ATTENTION[part === 'text_encoder' ? part : 'unet'];

const WEIGHT = '.weight';
/** Looked up by row, not multiplied. */
const TABLE = /(^|\.)(token|position)_embedding\.weight$/;

/** Modules that can be adapted: linear layers and convolutions, by the shapes of a network's parameters. */
export function adaptableModules(parameters: ReadonlyMap<string, Shape>): Map<string, Shape> {
  const modules = new Map<string, Shape>();
  for (const [name, shape] of parameters) {
    if (name.endsWith(WEIGHT) && (shape.length === 2 || shape.length === 4) && !TABLE.test(name))
      modules.set(name.slice(0, -WEIGHT.length), shape);
  }
  return modules;
}

/**
 * The modules that are named, in the order of the network.
 * @param where for errors, e.g. `model.unet_lora_config`
 * @throws UserError when a target names no module
 */
export function targetedModules(targets: Targets, modules: ReadonlyMap<string, Shape>, where: string): string[] {
  const names = [...modules.keys()];
  const chosen = names.filter((name) => isTarget(targets, name, where));
  const lone = typeof targets === 'string' ? [targets] : targets;
  const unused =
    typeof targets === 'string' ? (chosen.length === 0 ? targets : undefined) : lone.find((t) => !hasEnd(names, t));
  if (unused === undefined && chosen.length > 0) return chosen;
  const tails = [...new Set(names.flatMap((n) => [n.split('.').slice(-1)[0], n.split('.').slice(-2).join('.')]))];
  throw new UserError(
    `${where}.target_modules: "${unused ?? ''}" names no linear or convolution module; did you mean "${closest(unused ?? '', tails)}"?`,
  );
}

const hasEnd = (names: readonly string[], tail: string): boolean => names.some((name) => endsWith(name, tail));

export function isTarget(targets: Targets, module: string, where: string): boolean {
  return typeof targets === 'string'
    ? expression(`^(?:${targets})$`, where, 'target_modules').test(module)
    : targets.some((t) => endsWith(module, t));
}

/** PEFT's get_pattern_key: the first expression that fits the end of the name, at a dot. */
export function patternValue(
  patterns: Readonly<Record<string, unknown>>,
  module: string,
  where: string,
  key: 'rank_pattern' | 'alpha_pattern',
): number | undefined {
  for (const [end, value] of Object.entries(patterns))
    if (expression(`^(?:.*\\.)?(?:${end})$`, where, key).test(module)) return Number(value);
  return undefined;
}

const endsWith = (name: string, tail: string): boolean => name === tail || name.endsWith(`.${tail}`);

function expression(source: string, where: string, key: string): RegExp {
  try {
    return new RegExp(source);
  } catch (error) {
    throw new UserError(
      `${where}.${key}: ${(error as Error).message}; a list of module names needs no regular expression`,
      { cause: error },
    );
  }
}
