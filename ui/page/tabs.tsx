/** What of a run is shown. Arrow keys move between the tabs, as readers of screens expect. */
import { tab, TABS, type Tab } from './place.js';

const NAMES: Readonly<Record<Tab, string>> = {
  training: 'Training',
  draw: 'Draw',
  config: 'Config',
  log: 'Log',
  details: 'Details',
};

export function Tabs() {
  const keys = (event: KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = TABS[(TABS.indexOf(tab.value) + step + TABS.length) % TABS.length]!;
    tab.value = next;
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="What to show" onKeyDown={keys}>
      {TABS.map((name) => (
        <button
          key={name}
          id={`tab-${name}`}
          type="button"
          role="tab"
          aria-selected={tab.value === name}
          aria-controls="shown"
          tabIndex={tab.value === name ? 0 : -1}
          onClick={() => (tab.value = name)}
        >
          {NAMES[name]}
        </button>
      ))}
    </div>
  );
}
