/** Runs that are started, stopped and resumed from the page: processes of their own, so that none takes another down. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { basename, extname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { packageRoot } from '../../src/base/package-path.js';
import { ownerOf } from '../../src/engine/work-dir.js';
import { readEnvironment } from '../../src/runs/work-dir-files.js';
import { requireConfig } from './config-names.js';
import { Problem } from './problem.js';
import type { ResumeRequest, StartRequest } from './protocol.js';

const CLI = join(packageRoot, 'dist', 'tools', 'cli.js');
/** How often is looked whether a process has taken its work dir. */
const LOOK_MS = 50;
/** Where new runs go, below the folder. */
const WORK_DIRS = 'work_dirs';

export class Jobs {
  /** by id of the run */
  private readonly children = new Map<string, ChildProcess>();
  /** processes that were asked to stop, by run: a second signal would end them without a checkpoint */
  private readonly asked = new Map<string, number>();
  private readonly logs = mkdtempSync(join(tmpdir(), 'diffengine-ui-'));
  private count = 0;

  /** @param root folder of the runs @param cwd folder that configs and their paths are relative to */
  constructor(
    private readonly root: string,
    private readonly cwd: string,
  ) {
    process.once('exit', this.forget);
  }

  /** Resolves when the run has taken its work dir. @returns its id @throws Problem with what the command said */
  async start({ config, workDir, cfgOptions = [] }: StartRequest): Promise<string> {
    await requireConfig(config, this.cwd);
    const id = workDir === undefined ? this.freeName(config) : this.inside(workDir);
    if (existsSync(join(this.root, id, 'config.yaml')))
      throw new Problem(409, `${id}: a run is there already; resume it, or choose another folder`);
    await this.train([config], id, cfgOptions);
    return id;
  }

  /** Goes on from the last checkpoint, with the config as it was, and as many ranks. */
  async resume(id: string, { cfgOptions = [] }: ResumeRequest): Promise<void> {
    const path = join(this.root, id);
    if (await ownerOf(path)) throw new Problem(409, `${id}: it is running; stop it first`);
    const [, ranks] = /--gpus (\d+) --launcher mpi/.exec(await commandOf(path)) ?? [],
      started = ranks === undefined ? [] : ['--gpus', ranks, '--launcher', 'mpi'];
    await this.train([this.near(join(path, 'config.yaml')), ...started, '--resume'], id, cfgOptions);
  }

  /** Also a run that was started elsewhere. It finishes its step, saves a checkpoint and ends. */
  async stop(id: string): Promise<void> {
    const path = join(this.root, id),
      owner = await ownerOf(path);
    if (!owner) throw new Problem(409, `${id}: it is not running`);
    if (owner.host !== hostname()) throw new Problem(409, `${id}: it runs on ${owner.host}; stop it there`);
    const child = this.children.get(id)?.pid;
    if (child !== undefined) this.interrupt(id, child);
    // What an mpirun has started hears of Ctrl-C through it, as SIGUSR1.
    else this.interrupt(id, owner.pid, (await commandOf(path)).includes('--launcher ') ? 'SIGUSR1' : 'SIGINT');
  }

  get running(): number {
    return this.children.size;
  }

  /** Asks what was started here to save and end, and waits for it. */
  async close(): Promise<void> {
    const ends = [...this.children.values()].map((child) => new Promise((done) => child.once('exit', done)));
    for (const [id, { pid }] of this.children) if (pid !== undefined) this.interrupt(id, pid);
    await Promise.all(ends);
    process.off('exit', this.forget);
    this.forget();
  }

  /** Runs that go on write to what has no name any more. */
  private readonly forget = (): void => rmSync(this.logs, { recursive: true, force: true });

  private interrupt(id: string, pid: number, signal: 'SIGINT' | 'SIGUSR1' = 'SIGINT'): void {
    if (this.asked.get(id) === pid) return;
    this.asked.set(id, pid);
    process.kill(pid, signal);
  }

  private async train(words: readonly string[], id: string, cfgOptions: readonly string[]): Promise<void> {
    for (const option of cfgOptions) requireOption(option);
    const options = cfgOptions.length > 0 ? ['--cfg-options', ...cfgOptions] : [],
      workDir = join(this.root, id);
    const said = join(this.logs, `${++this.count}.txt`),
      out = openSync(said, 'w');
    const child = spawn(
      process.execPath,
      [CLI, 'train', ...words, '--work-dir', this.near(workDir), '--no-estimate', ...options],
      {
        cwd: this.cwd,
        // A file, not a pipe: the run goes on when this process dies. A group of its own: Ctrl-C of the terminal is ours.
        stdio: ['ignore', 'ignore', out],
        detached: true,
        windowsHide: true,
      },
    );
    closeSync(out);
    this.children.set(id, child);
    child.once('exit', () => {
      if (this.children.get(id) === child) this.children.delete(id);
    });
    await this.begun(child, workDir, said);
  }

  /** @throws Problem when the process ends before it has a work dir */
  private async begun(child: ChildProcess, workDir: string, said: string): Promise<void> {
    let failure: Error | undefined;
    child.once('error', (error) => (failure = error));
    for (;;) {
      if (failure) throw failure;
      // The process itself holds it, or one of its ranks.
      const isThere = existsSync(join(workDir, 'config.yaml')) && (await ownerOf(workDir)) !== undefined;
      if (child.exitCode === 0 || isThere) return;
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Problem(400, (await lastWords(said)) || `the run ended (${child.exitCode ?? child.signalCode})`);
      await new Promise((done) => setTimeout(done, LOOK_MS));
    }
  }

  /** As one would type it. */
  private near(path: string): string {
    const below = relative(this.cwd, path);
    return below.startsWith('..') || isAbsolute(below) ? path : below;
  }

  /** @returns the id @throws Problem for a path that leads out of the folder */
  private inside(workDir: string): string {
    const path = relative(this.root, resolve(this.root, workDir)).split(sep).join('/');
    if (path === '' || path.startsWith('../') || path === '..' || isAbsolute(path) || /(^|\/)\./.test(path))
      throw new Problem(400, `work dir "${workDir}": choose a folder below ${this.root}, without dots at its start`);
    return path;
  }

  /** work_dirs/dog, work_dirs/dog-2, ... */
  private freeName(config: string): string {
    const name = basename(config, extname(config)),
      plain = basename(this.root) === WORK_DIRS ? name : `${WORK_DIRS}/${name}`;
    for (let k = 1; ; k++) {
      const id = k === 1 ? plain : `${plain}-${k}`;
      if (!existsSync(join(this.root, id))) return id;
    }
  }
}

/** That made the run; empty for runs of earlier versions. */
const commandOf = async (workDir: string): Promise<string> => (await readEnvironment(workDir))?.command ?? '';

/** What is no assignment could be another option of the command; code of anywhere is not loaded. */
function requireOption(option: string): void {
  if (!/^[A-Za-z_][^=\s]*=/.test(option))
    throw new Problem(400, `option "${option}": write path.to.key=value, as --cfg-options takes it`);
  if (/^(custom_imports|work_dir)\b/.test(option))
    throw new Problem(400, `option "${option}": set ${option.split(/[.=[]/)[0]} in the config file, not from the page`);
}

/** The end of what a command said, without the words that every error has. */
async function lastWords(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .trim()
    .slice(-4000)
    .replace(/^diffengine: /, '');
}
