/** Server-sent events: what changes, as it changes. */
import type { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { UiEvent } from './protocol.js';

/** Something that tells of changes. @returns stops telling */
export type Listen = (listener: (event: UiEvent) => void) => () => void;

/** Proxies and browsers take a connection without a byte for dead. */
const HEARTBEAT_MS = 15_000;
/** The browser asks again after this when the connection breaks. */
const RETRY_MS = 2000;

export function eventRoutes(app: Hono, sources: readonly Listen[]): void {
  app.get('/api/events', (c) =>
    streamSSE(c, async (stream) => {
      const gone = new Promise<void>((resolve) => stream.onAbort(resolve));
      await stream.write(`retry: ${RETRY_MS}\n\n`);
      const stops = sources.map((listen) =>
        listen((event) => void stream.writeSSE({ data: JSON.stringify(event) }).catch(() => undefined)),
      );
      const beat = setInterval(() => void stream.write(': \n\n').catch(() => undefined), HEARTBEAT_MS);
      await gone;
      clearInterval(beat);
      for (const stop of stops) stop();
    }),
  );
}
