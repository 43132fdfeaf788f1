/** Kinds from options as a config gives them. */
import { ADAPTERS, type AdapterKind } from '../../src/adapters/adapter-kind.js';
import '../../src/adapters/peft.js'; // registers the built-in kinds
import { createBuild } from '../../src/registry/container.js';

export const buildKind = (type: string, options: Record<string, unknown> = {}): AdapterKind =>
  createBuild([])(ADAPTERS, { type, ...options });
