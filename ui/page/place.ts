/** Where one is in the page. The address keeps it, so that a reload and a bookmark come back to it. */
import { effect, signal } from '@preact/signals';
import { runs, show, shown, toggle } from './store.js';

export const TABS = ['training', 'draw', 'config', 'log', 'details'] as const;
export type Tab = (typeof TABS)[number];

export const tab = signal<Tab>('training');
/** On a narrow screen the list and a run do not fit beside each other. */
export const narrowShows = signal<'list' | 'run'>('run');

export const goTo = (what: 'list' | 'run'): void => {
  narrowShows.value = what;
};

/** Reads the address, and writes it from then on. The token of the link does not stay in it. */
export async function keepPlace(): Promise<void> {
  const asked = new URLSearchParams(location.hash.slice(1)),
    wanted = asked.get('tab') as Tab;
  if (TABS.includes(wanted)) tab.value = wanted;
  const ids = asked.getAll('run').filter((id) => runs.value?.some((run) => run.id === id));
  if (ids[0] !== undefined) await show(ids[0]);
  for (const id of ids.slice(1)) await toggle(id);
  effect(() => {
    const parts = [...shown.value.map(({ id }) => `run=${encodeURIComponent(id)}`), `tab=${tab.value}`];
    history.replaceState(null, '', `/#${parts.join('&')}`);
  });
}
