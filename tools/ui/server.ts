/** The server of `diffengine ui`: puts its parts together and listens on loopback alone. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { Hono, type Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { UserError } from '../../src/base/errors.js';
import type { Logger } from '../../src/base/logger.js';
import { access, headers, newToken } from './access.js';
import { drawingRoutes } from './drawing-routes.js';
import { Drawings } from './drawings.js';
import { eventRoutes } from './event-stream.js';
import { jobRoutes } from './job-routes.js';
import { Jobs } from './jobs.js';
import { pageRoutes } from './page-routes.js';
import { Problem } from './problem.js';
import { runRoutes } from './run-routes.js';
import { RunWatcher } from './run-watcher.js';

export interface UiOptions {
  /** absolute; runs below it are shown */
  readonly root: string;
  /** absolute; configs in it can be started */
  readonly cwd: string;
  /** 0: any that is free */
  readonly port: number;
  readonly log: Logger;
}

export interface UiServer {
  /** with the token */
  readonly link: string;
  readonly port: number;
  readonly token: string;
  /** runs that the page has started and that go on */
  readonly running: number;
  /** Runs that the page has started save a checkpoint first. */
  close(): Promise<void>;
}

const HOST = '127.0.0.1';
const MOST_BYTES = 1 << 16;
/** How many ports are tried after the one that was asked for. */
const TRIES = 20;

export async function startUi({ root, cwd, port: wanted, log }: UiOptions): Promise<UiServer> {
  const token = newToken(),
    watcher = new RunWatcher(root),
    jobs = new Jobs(root, cwd),
    drawings = new Drawings();
  let port = 0;
  const app = new Hono();
  app.use(headers);
  app.use(access(token, () => port));
  app.use(bodyLimit({ maxSize: MOST_BYTES, onError: tooMuch }));
  runRoutes(app, watcher);
  jobRoutes(app, watcher, jobs, cwd);
  drawingRoutes(app, watcher, drawings);
  eventRoutes(app, [(listener) => watcher.listen(listener), (listener) => drawings.listen(listener)]);
  pageRoutes(app);
  app.notFound((c) => c.json({ error: `${c.req.method} ${c.req.path}: there is nothing` }, 404));
  app.onError((error, c) => {
    const status = error instanceof Problem ? error.status : error instanceof UserError ? 400 : 500;
    if (status === 500) log.warn(`${c.req.method} ${c.req.path}: ${error.stack}`);
    // Somebody who opens the address without the token reads it in the browser.
    const isRead = c.req.header('accept')?.startsWith('text/html');
    return isRead ? c.text(error.message, status) : c.json({ error: error.message }, status);
  });
  const answer = getRequestListener(app.fetch, { hostname: HOST }),
    server = createServer((request, response) => void answer(request, response));
  port = await listen(server, wanted, log);
  return {
    link: `http://${HOST}:${port}/?token=${token}`,
    port,
    token,
    get running() {
      return jobs.running;
    },
    close: async () => {
      drawings.close();
      await jobs.close();
      watcher.close();
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await closed;
    },
  };
}

const tooMuch = (c: Context): Response => c.json({ error: `the request has more than ${MOST_BYTES} bytes` }, 400);

/** @returns the port; the next free one where it is taken */
async function listen(server: ReturnType<typeof createServer>, wanted: number, log: Logger): Promise<number> {
  for (let port = wanted; ; port++) {
    try {
      await new Promise<void>((done, fail) => {
        server.once('error', fail);
        server.listen(port, HOST, () => {
          server.off('error', fail);
          done();
        });
      });
      if (port !== wanted) log.info(`port ${wanted} is taken; this is ${port}`);
      return (server.address() as AddressInfo).port;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EADDRINUSE' && port < Math.min(wanted + TRIES, 65_535)) continue;
      throw new UserError(`--port ${port}: cannot listen there (${code}); give another port, or 0 for any`, {
        cause: error,
      });
    }
  }
}
