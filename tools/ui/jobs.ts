/** Runs that are started, stopped and resumed from the page: processes of their own, so that none takes another down. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { basename, extname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { packageRoot } from '../../src/base/package-path.js';
import { ownerOf } from '../../src/engine/work-dir.js';
import { requireConfig } from './config-names.js';
import { Problem } from './problem.js';
import type { ResumeRequest, StartRequest } from './protocol.js';

const CLI = join(packageRoot, 'dist', 'tools', 'cli.js');
/** How often is looked whether a process has taken its work dir. */
const LOOK_MS = 50;
/** Where new runs go, below the folder. */
const WORK_DIRS = 'work_dirs';

export class Jobs {
  private readonly children = new Set<ChildProcess>();
  /** processes that were asked to stop: a second signal would end them without a checkpoint */
  private readonly asked = new Set<number>();
  private readonly logs = mkdtempSync(join(tmpdir(), 'diffengine-ui-'));
  private count = 0;

  /** @param root folder of the runs @param cwd folder that configs and their paths are relative to */
  constructor(
    private readonly root: string,
    private readonly cwd: string,
  ) {}

  /** Resolves when the run has taken its work dir. @returns its id @throws Problem with what the command said */
  async start({ config, workDir, cfgOptions = [] }: StartRequest): Promise<string> {
    await requireConfig(config, this.cwd);
    const id = workDir === undefined ? this.freeName(config) : this.inside(workDir);
    if (existsSync(join(this.root, id, 'config.yaml')))
      throw new Problem(409, `${id}: a run is there already; resume it, or choose another folder`);
    await this.train([config], id, cfgOptions);
    return id;
  }

  /** Goes on from the last checkpoint, with the config as it was. */
  async resume(id: string, { cfgOptions = [] }: ResumeRequest): Promise<void> {
    if (await ownerOf(join(this.root, id))) throw new Problem(409, `${id}: it is running; stop it first`);
    await this.train([this.near(join(this.root, id, 'config.yaml')), '--resume'], id, cfgOptions);
  }

  /** Also a run that was started elsewhere. It finishes its step, saves a checkpoint and ends. */
  async stop(id: string): Promise<void> {
    const owner = await ownerOf(join(this.root, id));
    if (!owner) throw new Problem(409, `${id}: it is not running`);
    if (owner.host !== hostname()) throw new Problem(409, `${id}: it runs on ${owner.host}; stop it there`);
    this.interrupt(owner.pid);
  }

  get running(): number {
    return this.children.size;
  }

  /** Asks what was started here to save and end, and waits for it. */
  async close(): Promise<void> {
    const ends = [...this.children].map((child) => new Promise((done) => child.once('exit', done)));
    for (const { pid } of this.children) if (pid !== undefined) this.interrupt(pid);
    await Promise.all(ends);
    await rm(this.logs, { recursive: true, force: true });
  }

  private interrupt(pid: number): void {
    if (this.asked.has(pid)) return;
    this.asked.add(pid);
    process.kill(pid, 'SIGINT');
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
    this.children.add(child);
    child.once('exit', () => {
      this.children.delete(child);
      if (child.pid !== undefined) this.asked.delete(child.pid);
    });
    await this.begun(child, workDir, said);
  }

  /** @throws Problem when the process ends before it has a work dir */
  private async begun(child: ChildProcess, workDir: string, said: string): Promise<void> {
    let failure: Error | undefined;
    child.once('error', (error) => (failure = error));
    for (;;) {
      if (failure) throw failure;
      if (child.exitCode === 0 || (await ownerOf(workDir))?.pid === child.pid) return;
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
