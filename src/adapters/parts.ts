/** The networks of a pipeline that adapters change. */
import type { Shape } from '../tensor/host.js';
import type { AdapterValues } from './network-adapter.js';

export const PARTS = ['unet', 'text_encoder'] as const;
export type Part = (typeof PARTS)[number];
/** Names and shapes of the networks' own parameters. */
export type PartParameters = Readonly<Record<Part, ReadonlyMap<string, Shape>>>;
export type PartValues = Partial<Record<Part, AdapterValues>>;
