import { type Backend, BACKENDS } from '../backends/backend.js';
import { defaultCacheDir } from '../base/cache-dir.js';
import { createBuild } from '../registry/container.js';
import { CACHE_DIR, LOGGER } from '../registry/tokens.js';
import { type Logger } from '../base/logger.js';

/** What runs programs, from `{ type, ...options }` or a name alone; components must be loaded. @throws UserError for an unknown name */
export function buildBackend(backend: object | string | undefined, log: Logger, cacheDir = defaultCacheDir()): Backend {
  const config = typeof backend === 'object' ? backend : { type: backendType(backend ?? 'OnnxRuntimeBackend') };
  return createBuild([
    [LOGGER, log],
    [CACHE_DIR, cacheDir],
  ])(BACKENDS, config);
}

/** The component that a name on the command line means: `reference` or `ReferenceBackend`; a name of none of them is left as it is. */
export function backendType(name: string): string {
  const wanted = name.toLowerCase();
  return (
    BACKENDS.names().find((type) => [type, type.replace(/Backend$/, '')].some((n) => n.toLowerCase() === wanted)) ??
    name
  );
}
