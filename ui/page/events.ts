/** Server-sent events: they say what is new, and the page asks for it. */
import type { UiEvent } from '../../tools/ui/protocol.js';
import { api, type ApiError } from './api.js';
import {
  attempt,
  connected,
  dropRun,
  isShown,
  locked,
  logs,
  putDrawing,
  putRun,
  readAll,
  readScalars,
  readView,
} from './store.js';

const RETRY_MS = 3000;

async function retry(): Promise<void> {
  const status = await api.runs().then(
    () => 200,
    (error: ApiError) => error.status,
  );
  if (status === 403) locked.value = true;
  else listen(true);
}

/** @param again after a connection that was lost */
export function listen(again = false): void {
  const source = new EventSource('/api/events');
  let lost = again;
  source.addEventListener('open', () => {
    connected.value = true;
    // What happened meanwhile was not told.
    if (lost) void readAll();
    lost = false;
  });
  source.addEventListener('error', () => {
    connected.value = false;
    lost = true;
    // A browser gives up on an answer that is no stream, such as that of a server with another token.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => void retry(), RETRY_MS);
  });
  source.addEventListener('message', ({ data }) => take(JSON.parse(data as string) as UiEvent));
}

function take(event: UiEvent): void {
  switch (event.kind) {
    case 'run':
      return putRun(event.run);
    case 'gone':
      return dropRun(event.id);
    case 'drawing':
      return putDrawing(event.drawing);
    case 'log':
      logs.value = new Map(logs.value).set(event.id, (logs.value.get(event.id) ?? 0) + 1);
      return;
    case 'view':
      if (isShown(event.id)) void attempt(() => readView(event.id));
      return;
    case 'scalars':
      if (isShown(event.id)) void attempt(() => readScalars(event.id, event.from));
      return;
  }
}
