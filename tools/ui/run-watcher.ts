/** All runs below a folder, and what changes in them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findRuns, type FoundRun } from '../../src/runs/find-runs.js';
import { isLogFile } from '../../src/runs/log-text.js';
import { RunReader } from '../../src/runs/run-reader.js';
import type { RunSummary } from '../../src/runs/run-view.js';
import { watchFolder, type FolderWatch } from './folder-watch.js';
import type { UiEvent } from './protocol.js';

/** Changes of this time are told together. */
const TOGETHER_MS = 300;
/** A killed process tells nothing, nor do file systems of other machines: what runs is looked after. */
const CHECK_MS = 3000;
/** Every so many checks all folders are looked through. */
const CHECKS_PER_SCAN = 5;

type Change = 'run' | 'scalars' | 'log' | 'view';

interface Watched {
  readonly reader: RunReader;
  readonly watches: FolderWatch[];
  readonly changes: Set<Change>;
  /** the curves begin anew */
  restarted: boolean;
  summary: RunSummary | undefined;
}

export class RunWatcher {
  private readonly runs = new Map<string, Watched>();
  private readonly folders = new Map<string, FolderWatch>();
  private readonly listeners = new Set<(event: UiEvent) => void>();
  private timer: NodeJS.Timeout | undefined;
  private checks = 0;
  private readonly check: NodeJS.Timeout;
  private mustScan = true;
  private turn: Promise<unknown> = Promise.resolve();

  constructor(readonly root: string) {
    this.check = setInterval(() => this.lookAfter(), CHECK_MS).unref();
  }

  close(): void {
    clearInterval(this.check);
    clearTimeout(this.timer);
    for (const { watches } of this.runs.values()) closeAll(watches);
    closeAll(this.folders.values());
  }

  /** @returns stops telling */
  listen(listener: (event: UiEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The newest first. */
  async list(): Promise<RunSummary[]> {
    this.mustScan = true;
    for (const run of this.runs.values()) if (run.summary?.state === 'running') run.changes.add('run');
    await this.update();
    const all = [...this.runs.values()].flatMap(({ summary }) => (summary ? [summary] : []));
    return all.sort((a, b) => (b.started ?? b.changed) - (a.started ?? a.changed));
  }

  /** undefined: there is no such run */
  async reader(id: string): Promise<RunReader | undefined> {
    if (!this.runs.has(id)) {
      this.mustScan = true;
      await this.update();
    }
    return this.runs.get(id)?.reader;
  }

  /** What happens beside the files: looks at a run now. */
  touch(id: string): void {
    const run = this.runs.get(id);
    if (run) this.changed(run, 'run', 'view');
    else this.scanSoon();
  }

  /** Reads what has changed and tells it; one at a time. */
  private update(): Promise<unknown> {
    this.turn = this.turn.then(
      () => this.updateNow(),
      () => this.updateNow(),
    );
    return this.turn;
  }

  private async updateNow(): Promise<void> {
    if (this.mustScan) await this.scan();
    for (const [id, run] of this.runs) {
      if (run.summary && run.changes.size === 0) continue;
      const before = run.summary,
        changes = new Set(run.changes),
        restarted = run.restarted;
      run.changes.clear();
      run.restarted = false;
      const now = (run.summary = await run.reader.summary());
      if (JSON.stringify(now) !== JSON.stringify(before)) this.tell({ kind: 'run', run: now });
      if (!before) continue;
      const from = restarted ? 0 : Math.max(0, Math.min(before.iterations, now.iterations) - 1);
      const hasMore = now.iterations !== before.iterations;
      if (hasMore || changes.has('scalars')) this.tell({ kind: 'scalars', id, from });
      if (hasMore || changes.has('log')) this.tell({ kind: 'log', id });
      if (changes.has('view') || now.state !== before.state) this.tell({ kind: 'view', id });
    }
  }

  private async scan(): Promise<void> {
    this.mustScan = false;
    const { runs, folders } = await findRuns(this.root);
    for (const run of runs) if (!this.runs.has(run.id)) this.runs.set(run.id, this.watch(run));
    for (const [id, { watches }] of this.runs) {
      if (runs.some((run) => run.id === id)) continue;
      closeAll(watches);
      this.runs.delete(id);
      this.tell({ kind: 'gone', id });
    }
    for (const path of folders)
      if (!this.folders.has(path))
        this.folders.set(
          path,
          watchFolder(path, (_name, kind) => kind === 'rename' && this.scanSoon()),
        );
    for (const [path, watch] of this.folders) {
      if (folders.includes(path)) continue;
      watch.close();
      this.folders.delete(path);
    }
  }

  private watch({ id, path }: FoundRun): Watched {
    const run: Watched = {
      reader: new RunReader(path, id),
      watches: [],
      changes: new Set(),
      restarted: false,
      summary: undefined,
    };
    const below = new Set<string>();
    const watchBelow = (name: string, ...changes: Change[]): void => {
      if (below.has(name) || !existsSync(join(path, name))) return;
      below.add(name);
      run.watches.push(watchFolder(join(path, name), () => this.changed(run, ...changes)));
    };
    const own = watchFolder(path, (name, kind) => {
      if (name === 'vis') watchBelow('vis', 'run', 'view');
      if (name === 'vis_data') watchBelow('vis_data', 'scalars');
      if (name === 'config.yaml' && kind === 'rename') this.scanSoon(); // it may be gone
      if (name.endsWith('.tmp') || name === 'report.html') return;
      if (name.endsWith('.jsonl')) {
        run.restarted ||= kind === 'rename';
        this.changed(run, 'run', 'scalars');
      } else if (isLogFile(name)) this.changed(run, 'log');
      else this.changed(run, 'run', 'view');
    });
    run.watches.push(own);
    watchBelow('vis', 'run', 'view');
    watchBelow('vis_data', 'scalars');
    return run;
  }

  private changed(run: Watched, ...changes: readonly Change[]): void {
    for (const change of changes) run.changes.add(change);
    this.soon();
  }

  private scanSoon(): void {
    this.mustScan = true;
    this.soon();
  }

  /** Where nobody listens, the next who asks finds out. */
  private soon(): void {
    if (this.listeners.size === 0) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.update().catch(() => undefined); // a run that vanishes meanwhile is gone with the next scan
    }, TOGETHER_MS).unref();
  }

  private lookAfter(): void {
    if (this.listeners.size === 0) return;
    for (const run of this.runs.values()) if (run.summary?.state === 'running') this.changed(run, 'run');
    if (++this.checks % CHECKS_PER_SCAN === 0) this.scanSoon();
  }

  private tell(event: UiEvent): void {
    for (const listener of this.listeners) listener(event);
  }
}

function closeAll(watches: Iterable<FolderWatch>): void {
  for (const watch of watches) watch.close();
}
