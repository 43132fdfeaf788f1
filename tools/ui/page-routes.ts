/** The page itself: what Vite has built into `dist/ui/`. */
import { join } from 'node:path';
import type { Hono } from 'hono';
import { packageRoot } from '../../src/base/package-path.js';
import { Problem } from './problem.js';
import { servedFile, type Types } from './served-file.js';

const FOLDER = join(packageRoot, 'dist', 'ui');

const TYPES: Types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.txt': 'text/plain; charset=utf-8',
};

export function pageRoutes(app: Hono): void {
  app.get('/*', async (c) => {
    const path = c.req.path === '/' ? 'index.html' : c.req.path.slice(1),
      file = await servedFile(FOLDER, path, TYPES);
    if (!file) throw new Problem(404, `${c.req.path}: there is no such page`);
    // Assets have the hash of their content in their names.
    const cache = path.startsWith('assets/') ? 'private, max-age=31536000, immutable' : 'no-store';
    return c.body(file.bytes, 200, { 'Content-Type': file.type, 'Cache-Control': cache });
  });
}
