/** Starts, stops and resumes runs. */
import type { Hono } from 'hono';
import { checkOptions } from '../../src/registry/validate.js';
import type { Jobs } from './jobs.js';
import type { ResumeRequest, StartRequest } from './protocol.js';
import { configNames } from './config-names.js';
import { bodyOf } from './body.js';
import { runOf } from './run-routes.js';
import type { RunWatcher } from './run-watcher.js';

const TEXTS = { type: 'array', items: { type: 'string' }, maxItems: 100 };
const START = {
  type: 'object',
  additionalProperties: false,
  required: ['config'],
  properties: {
    config: { type: 'string', minLength: 1 },
    workDir: { type: 'string', minLength: 1 },
    cfgOptions: TEXTS,
  },
};
const RESUME = { type: 'object', additionalProperties: false, properties: { cfgOptions: TEXTS } };

/** @param cwd folder that configs are in */
export function jobRoutes(app: Hono, watcher: RunWatcher, jobs: Jobs, cwd: string): void {
  app.get('/api/configs', async (c) => c.json(await configNames(cwd)));
  app.post('/api/runs', async (c) => {
    const request = await bodyOf(c);
    checkOptions(request, START, 'start');
    const id = await jobs.start(request as unknown as StartRequest);
    watcher.touch(id);
    return c.json({ id });
  });
  app.post('/api/runs/:id/stop', async (c) => {
    const { id } = await (await runOf(c, watcher)).summary();
    await jobs.stop(id);
    return c.body(null, 202);
  });
  app.post('/api/runs/:id/resume', async (c) => {
    const { id } = await (await runOf(c, watcher)).summary(),
      request = await bodyOf(c);
    checkOptions(request, RESUME, 'resume');
    await jobs.resume(id, request as ResumeRequest);
    watcher.touch(id);
    return c.json({ id });
  });
}
