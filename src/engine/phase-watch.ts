/** Says what a run is at where that takes long and has no progress of its own. */
import { startProgress, type Logger, type Progress } from '../base/logger.js';
import { duration } from '../base/progress.js';
import type { Phases } from './phases.js';

/** Phases of which nobody knows how long they will take. */
const WORDS: Readonly<Record<string, string>> = {
  estimate: 'estimating what this will cost',
  open: 'opening the model',
  compile: 'compiling',
  encode: 'encoding pictures and texts',
};
/** What is over before says nothing. */
const QUIET_SECONDS = 2;
const TICK_MS = 500;

/**
 * On a terminal a line with the time so far, as long as it lasts; elsewhere one line for each kind of phase.
 * @returns ends the watch
 */
export function watchPhases(phases: Phases, log: Logger): () => void {
  let shown: { readonly phase: string; readonly bar: Progress | undefined } | undefined;
  const said = new Set<string>();
  const hide = (): void => {
    shown?.bar?.stop();
    shown = undefined;
  };
  const look = (): void => {
    const now = phases.innermost,
      words = now && WORDS[now.phase];
    if (shown && shown.phase !== now?.phase) hide();
    if (words === undefined || now === undefined || now.seconds < QUIET_SECONDS) return;
    shown ??= { phase: now.phase, bar: startProgress(log, 0) };
    shown.bar?.update(0, `${words}  ${duration(now.seconds)} so far`);
    if (!shown.bar && !said.has(now.phase)) log.info(`${words} ...`);
    said.add(now.phase);
  };
  const timer = setInterval(look, TICK_MS).unref();
  return () => {
    clearInterval(timer);
    hide();
  };
}
