/** What runs show: read only. */
import type { Context, Hono } from 'hono';
import type { RunReader } from '../../src/runs/run-reader.js';
import { Problem } from './problem.js';
import type { RunWatcher } from './run-watcher.js';
import { PICTURE_TYPES, servedFile } from './served-file.js';

export function runRoutes(app: Hono, watcher: RunWatcher): void {
  app.get('/api/runs', async (c) => c.json(await watcher.list()));
  app.get('/api/runs/:id', async (c) => c.json(await (await runOf(c, watcher)).view()));
  app.get('/api/runs/:id/scalars', async (c) => c.json(await (await runOf(c, watcher)).scalars(from(c, 0))));
  app.get('/api/runs/:id/log', async (c) =>
    c.json(await (await runOf(c, watcher)).log(from(c, Number.MIN_SAFE_INTEGER))),
  );
  app.get('/api/runs/:id/files/:path{.+}', async (c) => {
    const { path: folder } = await runOf(c, watcher);
    const encoded = c.req.path.replace(/^\/api\/runs\/[^/]+\/files\//, ''),
      file = await servedFile(folder, encoded, PICTURE_TYPES);
    if (!file) throw new Problem(404, 'the run has no such picture');
    return c.body(file.bytes, 200, { 'Content-Type': file.type, 'Cache-Control': 'no-cache' });
  });
}

/** Only what was found below the folder has an id: no path of a request leads elsewhere. */
export async function runOf(c: Context, watcher: RunWatcher): Promise<RunReader> {
  const id = c.req.param('id') ?? '',
    reader = await watcher.reader(id);
  if (!reader) throw new Problem(404, `no run "${id}" in ${watcher.root}`);
  return reader;
}

/** @param lowest that the answer has a meaning for */
function from(c: Context, lowest: number): number {
  const text = c.req.query('from') ?? '0',
    value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value) || value < lowest)
    throw new Problem(400, `from: "${text}" is no whole number${lowest === 0 ? ' from 0' : ''}`);
  return value;
}
