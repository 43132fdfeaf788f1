/**
 * Modules of CLIP's text encoder have two names: transformers put a level `text_model.` before them until 5.5, and from
 * 5.6 on it does not. We use the longer ones inside, as most published files do; either is read.
 */
const LEVEL = 'text_model.';

/** Which libraries a file is written for. */
export const TARGET_LIBRARIES = {
  current: 'transformers 5.6 and newer, with a diffusers and PEFT of that time',
  'transformers<5.6': 'older ones, which have a level text_model. in the names of the text encoder',
} as const;
export type TargetLibraries = keyof typeof TARGET_LIBRARIES;

/** The name inside, of a module of a file. */
export const innerName = (part: string, module: string): string =>
  part === 'text_encoder' && !module.startsWith(LEVEL) ? LEVEL + module : module;

/** The name in a file. */
export const outerName = (part: string, module: string, libraries: TargetLibraries): string =>
  part === 'text_encoder' && libraries === 'current' && module.startsWith(LEVEL) ? module.slice(LEVEL.length) : module;
