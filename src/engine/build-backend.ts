import type { Backend } from '../backends/backend.js';
import { createBuild } from '../registry/container.js';
import { BACKENDS } from '../registry/registries.js';
import { LOGGER, type Logger } from '../registry/tokens.js';

/** What runs programs, from `{ type, ...options }` or a name alone; components must be loaded. @throws UserError for an unknown name */
export function buildBackend(backend: object | string | undefined, log: Logger): Backend {
  const config = typeof backend === 'object' ? backend : { type: backend ?? 'OnnxRuntimeBackend' };
  return createBuild([[LOGGER, log]])(BACKENDS, config);
}
