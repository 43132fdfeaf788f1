/** What stands in a report of a run: plain JSON that ReportHook writes into the page and the page shows. */
import type { RunView, Scalars } from './run-view.js';

export interface ReportData {
  /** its pictures as data URIs */
  readonly view: RunView;
  readonly scalars: Scalars;
  /** What was left out to keep the file small, one sentence each. */
  readonly thinned: readonly string[];
  /** seconds since 1970 */
  readonly written: number;
}
