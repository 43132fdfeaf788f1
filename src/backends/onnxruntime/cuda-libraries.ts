/** How one gets ONNX Runtime's libraries for CUDA, which no package manager fetches unasked. */
import { createRequire } from 'node:module';
import { relative } from 'node:path';
import { shellWord } from '../../base/shell-word.js';

/**
 * What the install script of `onnxruntime-node` does when it is allowed to. `npm rebuild` does nothing where scripts are
 * switched off, and other package managers have other words for it; this works with each.
 */
export function cudaCommand(): string {
  const script = createRequire(import.meta.url).resolve('onnxruntime-node/script/install.js'),
    near = relative('.', script);
  return `ONNXRUNTIME_NODE_INSTALL=cuda12 node ${shellWord(near.startsWith('..') ? script : near)}`;
}
