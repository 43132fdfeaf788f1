/** What the page knows. Components read the signals; events of the server and what the user does change them. */
import { batch, computed, signal } from '@preact/signals';
import type { RunSummary, RunView, Scalars } from '../../src/runs/run-view.js';
import type { Drawing } from '../../tools/ui/protocol.js';
import { api, ApiError } from './api.js';
import { appended, nextIter } from './scalars.js';

/** undefined: not read yet */
export const runs = signal<readonly RunSummary[] | undefined>(undefined);
/** The runs that are shown. A run keeps its place, which gives its colour, while others come and go. */
export const shown = signal<readonly { readonly id: string; readonly place: number }[]>([]);
export const views = signal<ReadonlyMap<string, RunView>>(new Map());
export const scalars = signal<ReadonlyMap<string, Scalars>>(new Map());
/** the newest first */
export const drawings = signal<readonly Drawing[]>([]);
/** what went wrong last, in words */
export const problem = signal<string | undefined>(undefined);
export const connected = signal(true);
/** the printed link was not opened: the server says nothing */
export const locked = signal(false);
/** grows when a log does, by run */
export const logs = signal<ReadonlyMap<string, number>>(new Map());

/** The shown runs whose view has come, with their place. One of the same name as another goes by its whole path. */
export const open = computed(() => {
  const all = shown.value.flatMap(({ id, place }) => {
    const view = views.value.get(id);
    return view ? [{ id, place, view, scalars: scalars.value.get(id) ?? {} }] : [];
  });
  const isAlone = (name: string): boolean => all.filter(({ view }) => view.name === name).length === 1;
  return all.map((run) => ({ ...run, name: isAlone(run.view.name) ? run.view.name : run.id }));
});

/** Runs something that may fail; says in the page what did. @returns whether it went well */
export async function attempt(action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) locked.value = true;
    else problem.value = error instanceof Error ? error.message : String(error);
    return false;
  }
}

export const newestFirst = (a: RunSummary, b: RunSummary): number =>
  Number(b.state === 'running') - Number(a.state === 'running') ||
  (b.started ?? b.changed) - (a.started ?? a.changed) ||
  a.id.localeCompare(b.id);

/** Reads everything again: at first, and when the connection comes back. */
export async function readAll(): Promise<void> {
  await attempt(async () => {
    const [list, drawn] = await Promise.all([api.runs(), api.drawings()]);
    batch(() => {
      runs.value = [...list].sort(newestFirst);
      drawings.value = drawn;
      const there = shown.value.filter(({ id }) => list.some((run) => run.id === id));
      shown.value = there.length === 0 ? runs.value.slice(0, 1).map(({ id }) => ({ id, place: 0 })) : there;
    });
    await Promise.all(shown.value.map(({ id }) => readRun(id)));
  });
}

export const isShown = (id: string): boolean => shown.value.some((run) => run.id === id);

/** Shows one run alone. */
export async function show(id: string): Promise<void> {
  const known = isShown(id);
  shown.value = [{ id, place: 0 }];
  if (!known) await attempt(() => readRun(id));
}

/** Shows a run beside the others, or no more. */
export async function toggle(id: string): Promise<void> {
  if (isShown(id)) {
    shown.value = shown.value.filter((run) => run.id !== id);
    return;
  }
  const taken = new Set(shown.value.map(({ place }) => place));
  let place = 0;
  while (taken.has(place)) place++;
  shown.value = [...shown.value, { id, place }];
  await attempt(() => readRun(id));
}

/** Anew: while a run was not shown, its events were not followed. */
async function readRun(id: string): Promise<void> {
  await Promise.all([readView(id), readScalars(id, 0)]);
}

export async function readView(id: string): Promise<void> {
  const view = await api.view(id).catch((error: unknown) => {
    // It is gone: the list says so, too.
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  });
  if (view) views.value = new Map(views.value).set(id, view);
}

const asked = new Map<string, number>(),
  busy = new Set<string>();

/** One request per run at a time; what comes meanwhile is asked for in the next. @param from first iteration that is new */
export async function readScalars(id: string, from: number): Promise<void> {
  asked.set(id, Math.min(asked.get(id) ?? Infinity, from, nextIter(scalars.value.get(id))));
  if (busy.has(id)) return;
  busy.add(id);
  try {
    for (let first = asked.get(id); first !== undefined; first = asked.get(id)) {
      asked.delete(id);
      const fresh = await api.scalars(id, first);
      scalars.value = new Map(scalars.value).set(id, appended(scalars.value.get(id), fresh, first));
    }
  } finally {
    busy.delete(id);
  }
}

export function putRun(run: RunSummary): void {
  runs.value = [run, ...(runs.value ?? []).filter(({ id }) => id !== run.id)].sort(newestFirst);
  const view = views.value.get(run.id);
  if (view) views.value = new Map(views.value).set(run.id, { ...view, ...run });
  if (shown.value.length === 0) void show(run.id);
}

export function dropRun(id: string): void {
  batch(() => {
    runs.value = (runs.value ?? []).filter((run) => run.id !== id);
    shown.value = shown.value.filter((run) => run.id !== id);
  });
}

export function putDrawing(drawing: Drawing): void {
  const others = drawings.value.filter(({ number }) => number !== drawing.number);
  drawings.value = [...others, drawing].sort((a, b) => b.number - a.number);
}

export function dropDrawing(number: number): void {
  drawings.value = drawings.value.filter((drawing) => drawing.number !== number);
}
