import { open, readFile, type FileHandle } from 'node:fs/promises';
import { inject } from 'inversify';
import type { RunState } from '../engine/run-state.js';
import { openStream, outputPlace } from '../base/output-place.js';
import { syncFile } from '../base/sync-file.js';
import { startProgress, type Progress, type Logger } from '../base/logger.js';
import { duration, Pace } from '../base/progress.js';
import { HOOKS, Hook } from '../engine/hook.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { LOGGER, OPTIONS } from '../registry/tokens.js';

@HOOKS.register()
export class LoggerHook extends Hook {
  static readonly options = {
    description:
      'Reports loss, learning rate, speed and memory: a progress bar on a terminal, lines otherwise, and numbers of every iteration as JSON lines.',
    type: 'object',
    additionalProperties: false,
    properties: {
      interval: { type: 'integer', minimum: 1, default: 10, description: 'iterations between lines' },
      jsonl: {
        type: 'string',
        minLength: 1,
        default: 'log.jsonl',
        description: 'file in the work dir, one line per iteration',
      },
    },
  } as const satisfies OptionsSchema;
  override readonly priority = 'BELOW_NORMAL';
  private file: FileHandle | undefined;
  /** a pipe has no disk to wait for */
  private synced = true;
  private bar: Progress | undefined;
  private stepStart = 0;
  /** seconds of encoding before this iteration */
  private encoded = 0;
  private readonly speed = new Speed();
  /** the time left, without what hooks do now and then */
  private pace = new Pace(0);
  /** of this process */
  private steps = 0;
  private losses: number[] = [];

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof LoggerHook.options>,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
  }

  override async beforeTrain(run: RunState): Promise<void> {
    const { kind, path } = await outputPlace(run.workDir.file(this.opts.jsonl));
    if (kind === 'file') {
      // What came after the checkpoint that is resumed from will be written again.
      const text = await readFile(path, 'utf8').catch(() => '');
      await run.workDir.write(this.opts.jsonl, linesBefore(text, run.iter));
    }
    this.file = await (kind === 'file' ? open(path, 'a') : openStream(path));
    this.synced = kind === 'file';
    this.pace = new Pace(run.maxIters - run.iter, () => performance.now() - 1000 * run.asides.spent);
  }

  override async beforeTrainIter({ phases }: RunState): Promise<void> {
    this.encoded = phases['encode'] ?? 0;
    this.stepStart = performance.now();
  }

  override async afterTrainIter(run: RunState): Promise<void> {
    this.speed.step(performance.now() - this.stepStart, 1000 * ((run.phases['encode'] ?? 0) - this.encoded));
    this.pace.reach(++this.steps);
    // No times in it, so that a resumed run writes the same file as an uninterrupted one.
    await this.file?.appendFile(`${JSON.stringify({ iter: run.iter, ...run.logs })}\n`);
    this.losses.push(run.logs['loss']);
    this.bar ??= startProgress(this.log, run.maxIters, run.iter);
    this.bar?.update(run.iter + 1, this.short(run));
    if (!run.every(this.opts.interval) && !run.isLast) return;
    const line = `iter ${String(run.iter + 1).padStart(String(run.maxIters).length)}/${run.maxIters}  ${this.summary(run)}`;
    if (this.bar && !run.isLast) this.log.debug(line);
    else this.log.info(line);
    this.losses = [];
  }

  override async beforeSaveCheckpoint(): Promise<void> {
    if (this.synced && this.file) await syncFile(this.file); // a checkpoint never outlives the lines before it
  }

  override async afterTrain(): Promise<void> {
    this.bar?.stop();
  }

  override async afterRun(): Promise<void> {
    this.bar?.stop();
    await this.file?.close();
    this.file = undefined;
  }

  /** The mean loss since the last line, the other numbers of this iteration. */
  private summary(run: RunState): string {
    const { loss, extra, lr, memory } = this.numbers(run);
    return [loss, ...extra, lr, this.speed.text(), `eta ${this.left(run) ?? '?'}`, memory].join('  ');
  }

  /** What a bar has room for first. */
  private short(run: RunState): string {
    const { loss, extra, lr, memory } = this.numbers(run),
      left = this.left(run);
    const time = left === undefined ? [] : [`${left} left`];
    return [`${run.iter + 1}/${run.maxIters}`, loss, ...time, this.speed.text(), memory, lr, ...extra].join('  ');
  }

  private numbers({ logs }: RunState) {
    const mean = this.losses.reduce((a, b) => a + b, 0) / this.losses.length;
    const extra = Object.entries(logs)
      .filter(([name]) => name !== 'loss' && name !== 'lr')
      .map(([name, value]) => `${name} ${value.toPrecision(4)}`);
    return {
      loss: `loss ${mean.toPrecision(4)}`,
      extra,
      lr: `lr ${logs['lr'].toExponential(2)}`,
      memory: `${(process.memoryUsage.rss() / 2 ** 30).toFixed(1)} GiB`,
    };
  }

  private left({ asides }: RunState): string | undefined {
    const seconds = this.pace.left();
    return seconds === undefined ? undefined : duration(seconds + asides.left);
  }
}

/**
 * Speed of the recent steps alone. The first step compiles the program: it says nothing of the others.
 * Pictures are encoded when they are met for the first time, unless their crops differ: that is said apart, while it counts.
 */
class Speed {
  private recent: { readonly step: number; readonly encoding: number }[] = [];
  private done = 0;

  /** @param ms of the whole iteration @param encoding how many of them encoded pictures and texts */
  step(ms: number, encoding: number): void {
    const now = { step: ms - encoding, encoding };
    this.recent = this.done++ === 1 ? [now] : [...this.recent.slice(-9), now];
  }

  text(): string {
    const mean = (part: 'step' | 'encoding'): number =>
      this.recent.reduce((sum, now) => sum + now[part], 0) / this.recent.length;
    const ms = mean('step'),
      encoding = mean('encoding');
    const speed = ms > 1000 ? `${(ms / 1000).toFixed(2)} s/it` : `${(1000 / ms).toFixed(2)} it/s`;
    return encoding > Math.max(100, ms / 20) ? `${speed} + ${(encoding / 1000).toFixed(2)} s encoding` : speed;
  }
}

/** The complete lines of iterations before `iter`. */
function linesBefore(text: string, iter: number): string {
  return text
    .split('\n')
    .slice(0, -1)
    .filter((line) => iterationOf(line) < iter)
    .map((line) => `${line}\n`)
    .join('');
}

function iterationOf(line: string): number {
  try {
    return Number((JSON.parse(line) as { iter?: number }).iter ?? Infinity);
  } catch {
    return Infinity; // torn by a crash of the machine
  }
}

declare module '../registry/kinds.js' {
  interface HookMap {
    LoggerHook: typeof LoggerHook;
  }
}
