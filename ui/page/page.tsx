/** The page: all runs at the left, the shown ones at the right; one of the two on a narrow screen. */
import type { ComponentChild } from 'preact';
import { useState } from 'preact/hooks';
import { Lightbox } from '../parts/lightbox.js';
import { ConfigPanel } from './config-panel.js';
import { DetailsPanel } from './details-panel.js';
import { DrawPanel } from './draw-panel.js';
import { Empty, Locked } from './empty.js';
import { LogPanel } from './log-panel.js';
import { narrowShows, tab, type Tab } from './place.js';
import { RunHead } from './run-head.js';
import { RunList } from './run-list.js';
import { StartDialog } from './start-dialog.js';
import { connected, locked, open, problem, runs } from './store.js';
import { Tabs } from './tabs.js';
import { TrainingPanel } from './training-panel.js';

const PANELS: Readonly<Record<Tab, () => ComponentChild>> = {
  training: () => <TrainingPanel />,
  draw: () => <DrawPanel />,
  config: () => <ConfigPanel />,
  log: () => open.value.map(({ id, name }) => <LogPanel key={id} id={id} name={name} />),
  details: () => <DetailsPanel />,
};

export function Page() {
  const [starting, setStarting] = useState(false);
  if (locked.value) return <Locked />;
  if (runs.value === undefined) return <p class="loading">{problem.value ?? 'Reading the runs ...'}</p>;
  const empty = runs.value.length === 0;
  return (
    <div class={`page ${narrowShows.value}`}>
      <nav aria-label="Runs">
        <div class="top">
          <strong>diffengine</strong>
          <button type="button" class="main" onClick={() => setStarting(true)}>
            Start a run
          </button>
        </div>
        <RunList />
        {runs.value.length > 1 && <p class="hint">Tick several runs to lay them over each other.</p>}
      </nav>
      <main>
        <Notices />
        {empty ? (
          <Empty start={() => setStarting(true)} />
        ) : (
          <>
            <RunHead />
            <Tabs />
            <div id="shown" role="tabpanel" aria-labelledby={`tab-${tab.value}`}>
              {PANELS[tab.value]()}
            </div>
          </>
        )}
      </main>
      {starting && <StartDialog close={() => setStarting(false)} />}
      <Lightbox />
    </div>
  );
}

function Notices() {
  return (
    <div class="notices">
      {!connected.value && (
        <p class="notice" role="status">
          No connection to the server; trying again. Is "diffengine ui" still running?
        </p>
      )}
      {problem.value !== undefined && (
        <p class="notice problem" role="alert">
          <span>{problem.value}</span>
          <button type="button" class="small" onClick={() => (problem.value = undefined)}>
            Close
          </button>
        </p>
      )}
    </div>
  );
}
