/** Requests to the server of `diffengine ui`; what fails is said in words. */
import type { RunSummary, RunView, Scalars } from '../../src/runs/run-view.js';
import type {
  ConfigName,
  DrawRequest,
  Drawing,
  LogText,
  ResumeRequest,
  StartRequest,
} from '../../tools/ui/protocol.js';

export class ApiError extends Error {
  constructor(
    message: string,
    /** of HTTP; 0: no answer */
    readonly status: number,
  ) {
    super(message);
  }
}

async function ask<T>(path: string, method = 'GET', body?: unknown): Promise<T> {
  const sent =
    body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(`/api/${path}`, { method, ...sent }).catch(() => {
    throw new ApiError('The server does not answer. Is "diffengine ui" still running?', 0);
  });
  const text = await answer.text();
  if (answer.ok) return (text === '' ? undefined : JSON.parse(text)) as T;
  throw new ApiError(errorOf(text) ?? `${method} /api/${path}: the server answered ${answer.status}`, answer.status);
}

function errorOf(text: string): string | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    return typeof error === 'string' ? error : undefined;
  } catch {
    return undefined;
  }
}

const of = (id: string): string => `runs/${encodeURIComponent(id)}`;

export const api = {
  runs: () => ask<RunSummary[]>('runs'),
  view: async (id: string): Promise<RunView> => {
    const view = await ask<RunView>(of(id));
    const whole = <P extends { readonly src: string }>(picture: P): P => ({
      ...picture,
      src: fileUrl(id, picture.src),
    });
    return {
      ...view,
      previews: view.previews.map((preview) => ({ ...preview, pictures: preview.pictures.map(whole) })),
      trainingPictures: view.trainingPictures.map(whole),
    };
  },
  scalars: (id: string, from: number) => ask<Scalars>(`${of(id)}/scalars?from=${from}`),
  log: (id: string, from: number) => ask<LogText>(`${of(id)}/log?from=${from}`),
  configs: () => ask<ConfigName[]>('configs'),
  schedulers: () => ask<string[]>('schedulers'),
  start: (request: StartRequest) => ask<{ id: string }>('runs', 'POST', request),
  stop: (id: string) => ask<void>(`${of(id)}/stop`, 'POST', {}),
  resume: (id: string, request: ResumeRequest) => ask<{ id: string }>(`${of(id)}/resume`, 'POST', request),
  drawings: () => ask<Drawing[]>('drawings'),
  draw: (request: DrawRequest) => ask<Drawing[]>('drawings', 'POST', request),
  forget: (number: number) => ask<void>(`drawings/${number}`, 'DELETE'),
};

/** @param path of a picture, relative to the run */
export const fileUrl = (id: string, path: string): string =>
  `/api/${of(id)}/files/${path.split('/').map(encodeURIComponent).join('/')}`;

export const drawingUrl = (number: number): string => `/api/drawings/${number}/picture`;
