/** What programs call to train: events, result, stopping and resuming, errors, and nothing left behind. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t, { type Test } from 'tap';
import { defineConfig, train, UserError, type TrainEvent, type TrainOptions } from '../../src/index.js';
import { MOST_WAITING } from '../../src/library/event-queue.js';

t.setTimeout(300_000);

const CONFIG = 'tiny_random_sd_dreambooth_lora_dog';
/** No previews and no class pictures: only iterations. */
const OPTIONS = {
  'train_cfg.max_iters': 4,
  'default_hooks.checkpoint.interval': 2,
  'custom_hooks.preview': null,
  'train_dataloader.dataset.class_prompt': null,
  'train_dataloader.dataset.class_image': null,
};

function folder(t: Test): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'diffengine-library-')));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** What a checkpoint has learnt. */
const learnt = (checkpoint: string): Record<string, string> => ({
  state: sha256(join(checkpoint, 'training_state.safetensors')),
  adapter: sha256(join(checkpoint, 'unet', 'adapter_model.safetensors')),
});

void t.test('a run tells what happens, in order, and then its result', async (t) => {
  const workDir = join(folder(t), 'out'),
    events: TrainEvent[] = [];
  const run = train(CONFIG, { workDir, options: OPTIONS });
  for await (const event of run) events.push(event);
  const result = await run;
  t.strictSame(result, { workDir, iteration: 3, checkpoint: join(workDir, 'step3'), best: undefined });
  t.strictSame(
    events.filter(({ kind }) => kind !== 'log').map(({ kind, iter }) => `${kind} ${iter}`),
    ['start 0', 'iter 0', 'iter 1', 'checkpoint 1', 'iter 2', 'iter 3', 'checkpoint 3', 'done 3'],
  );
  t.match(
    events.find(({ kind }) => kind === 'start'),
    { workDir, maxIters: 4, samples: 5, backend: 'onnxruntime cpu' },
  );
  t.ok(events.some((event) => event.kind === 'log' && event.message === `work dir   ${workDir}`));
  const logged = readFileSync(join(workDir, 'log.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  const told = events.flatMap((event) => (event.kind === 'iter' ? [{ iter: event.iter, ...event.logs }] : []));
  t.strictSame(told, logged, 'the numbers of the log');
  const [first] = events.filter((event) => event.kind === 'iter');
  t.ok(first.loss > 0 && first.lr === 1e-4 && first.grad_norm! > 0);
});

/** Worker threads, as Node lists them in a diagnostic report. */
const workers = (): number => (process.report.getReport() as unknown as { workers: unknown[] }).workers.length;

/** Bytes that JavaScript still reaches. */
async function reachable(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  await setImmediate(); // finalizers run then, and what they let go of is for the next one
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

void t.test(
  'a run that nobody reads goes on alone; three in a row equal each other, and leave nothing behind',
  async (t) => {
    const path = folder(t),
      controller = new AbortController(),
      exitCode = process.exitCode;
    const listeners = (): unknown[] => process.eventNames().map((name) => [name, process.listenerCount(name)]);
    const one = async (name: string): Promise<string> => {
      const options = { workDir: join(path, name), options: OPTIONS, signal: controller.signal };
      return (await train(CONFIG, options)).checkpoint!;
    };
    const before = { workers: workers(), listeners: listeners() };
    const first = await one('a'),
      bytes = await reachable();
    t.strictSame(learnt(await one('b')), learnt(first));
    t.strictSame(learnt(await one('c')), learnt(first));
    // finalizers run when the engine likes: what is still held after many rounds is held for good
    let more = Infinity;
    for (let round = 0; round < 20 && more >= 2e6; round++) more = (await reachable()) - bytes;
    t.ok(more < 2e6, `${more} bytes more`);
    t.strictSame({ workers: workers(), listeners: listeners() }, before);
    t.strictSame(getEventListeners(controller.signal, 'abort'), []);
    t.equal(process.exitCode, exitCode);
    t.strictSame(
      openFiles().filter((file) => file.startsWith(path)),
      [],
    );
    t.notOk(existsSync(join(path, 'a', '.lock')));
  },
);

/** Paths of the files that this process has open, where the system tells. */
function openFiles(): string[] {
  if (!existsSync('/proc/self/fd')) return [];
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [realpathSync(join('/proc/self/fd', fd))];
    } catch {
      return []; // a socket or a pipe
    }
  });
}

void t.test(
  'aborted in the middle, a run saves a checkpoint, and resumed it ends as if it never stopped',
  async (t) => {
    const path = folder(t),
      controller = new AbortController();
    const whole = await train(CONFIG, { workDir: join(path, 'whole'), options: OPTIONS });
    const run = train(CONFIG, { workDir: join(path, 'parts'), options: OPTIONS, signal: controller.signal });
    const reason = new Error('closed the window');
    await t.rejects(
      (async () => {
        for await (const event of run) if (event.kind === 'iter' && event.iter === 0) controller.abort(reason);
      })(),
      {
        name: 'Interrupted',
        code: 'INTERRUPTED',
        message: /^stopped after iteration [01], [23] left; saved .*step[01]\./,
        cause: reason,
      },
    );
    await t.rejects(run, { code: 'INTERRUPTED' }, 'the promise says so too');
    const resumed = await train(CONFIG, { workDir: join(path, 'parts'), options: OPTIONS, resume: true });
    t.strictSame(learnt(resumed.checkpoint!), learnt(whole.checkpoint!));
    t.equal(
      readFileSync(join(path, 'parts', 'log.jsonl'), 'utf8'),
      readFileSync(join(path, 'whole', 'log.jsonl'), 'utf8'),
    );
    await t.rejects(train(CONFIG, { workDir: join(path, 'never'), signal: controller.signal }), {
      code: 'INTERRUPTED',
    });
    t.notOk(existsSync(join(path, 'never')), 'aborted before it began, it writes nothing');
  },
);

void t.test(
  'mistakes are UserErrors with a code that programs can branch on, before anything is written',
  async (t) => {
    const workDir = join(folder(t), 'out');
    const refused = async (
      config: Parameters<typeof train>[0],
      options: TrainOptions,
      expected: object,
    ): Promise<void> => {
      const error: unknown = await train(config, { workDir, ...options }).then(
        () => undefined,
        (e: unknown) => e,
      );
      t.ok(error instanceof UserError);
      t.match(error, expected);
      t.notOk(existsSync(workDir));
    };
    await refused(
      CONFIG,
      { options: { 'train_cfg.max_iters': 'many' } },
      {
        code: 'CONFIG_INVALID',
        message: 'train_cfg.max_iters: expected integer, got "many"',
      },
    );
    await refused('tiny_random_sd', {}, { code: 'CONFIG_NOT_FOUND' });
    await refused(
      CONFIG,
      { options: { 'model.unet_lora_config': () => 1 } },
      { code: 'CONFIG_INVALID', message: /a config holds plain values/ },
    );
    await refused(CONFIG, { sginal: undefined } as TrainOptions, {
      code: 'INVALID_INPUT',
      message: 'train.sginal: unknown option; did you mean "signal"?',
    });
    await refused(CONFIG, { signal: 'now' } as unknown as TrainOptions, {
      message: 'train.signal: now is no AbortSignal; give controller.signal',
    });
    await refused(CONFIG, { workDir: 7 } as unknown as TrainOptions, {
      message: 'train.workDir: expected string, got 7',
    });
    await refused(CONFIG, { log: {} } as unknown as TrainOptions, {
      message: /^train\.log: has no function info, warn, debug/,
    });
    await refused(undefined as unknown as string, {}, { code: 'CONFIG_INVALID', message: /^config: expected a file/ });
    await refused(
      CONFIG,
      { backend: 'onyx' },
      { code: 'CONFIG_INVALID', message: /^backend\.type: unknown backend "onyx"/ },
    );
  },
);

void t.test('a second run in a work dir that is in use is refused; what it was told stays', async (t) => {
  const workDir = join(folder(t), 'out');
  const first = train(CONFIG, { workDir, options: OPTIONS });
  for await (const event of first) if (event.kind === 'log') break;
  await t.rejects(train(CONFIG, { workDir, options: OPTIONS }), { code: 'WORK_DIR_IN_USE' });
  t.equal((await first).iteration, 3, 'leaving the loop early does not stop the run');
});

void t.test('a config can be made in the program, and says where its work dir is', async (t) => {
  const workDir = join(folder(t), 'mine');
  const config = defineConfig({ _base_: [CONFIG], work_dir: workDir, train_cfg: { max_iters: 1 } });
  const { checkpoint } = await train(config, { options: OPTIONS_OF_ONE });
  t.equal(checkpoint, join(workDir, 'step0'));
  const lines: string[] = [];
  const keep = (line: string): void => void lines.push(line);
  await train(config, { resume: true, options: OPTIONS_OF_ONE, log: { info: keep, warn: keep, debug: () => {} } });
  t.match(lines.join('\n'), 'already trained to iteration 0', 'a logger hears it');
});
const { 'train_cfg.max_iters': _, ...OPTIONS_OF_ONE } = OPTIONS;

void t.test('events that nobody reads are kept up to a number, the rare ones longest', async (t) => {
  const { EventQueue } = await import('../../src/library/event-queue.js');
  const queue = new EventQueue();
  queue.push({ kind: 'checkpoint', iter: 0, path: '/a' });
  for (let iter = 0; iter < MOST_WAITING + 9; iter++) queue.push({ kind: 'log', iter, level: 'info', message: '' });
  queue.close();
  t.strictSame(await queue.next(), { kind: 'dropped', iter: 0, count: 10 });
  t.strictSame(await queue.next(), { kind: 'checkpoint', iter: 0, path: '/a' });
  t.match(await queue.next(), { kind: 'log', iter: 10 });
  let left = 0;
  while (await queue.next()) left++;
  t.equal(left, MOST_WAITING - 2);
});

const program = async (code: string, cwd: string): Promise<{ code: number; out: string; err: string }> => {
  const index = new URL('../../src/index.js', import.meta.url).href;
  const { NODE_OPTIONS: _runner, ...env } = process.env;
  const source = `import { train } from '${index}';\n${code}`;
  return promisify(execFile)(process.execPath, ['--input-type=module', '-e', source], { cwd, env }).then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      out: error.stdout,
      err: error.stderr,
    }),
  );
};

void t.test(
  'nothing is printed, and the process exits by itself; a failure that nobody awaits is not lost',
  async (t) => {
    const cwd = folder(t),
      given = JSON.stringify({ workDir: 'out', options: OPTIONS });
    t.strictSame(await program(`await train('${CONFIG}', ${given});`, cwd), { code: 0, out: '', err: '' });
    t.ok(existsSync(join(cwd, 'out', 'step3')));
    const lost = await program(`train('nothing');`, cwd);
    t.equal(lost.code, 1);
    t.match(lost.err, /nothing: no built-in config of that name/);
    const read = await program(`for await (const e of train('nothing')) console.log(e.kind);`, cwd);
    t.equal(read.code, 1, 'a loop throws it');
  },
);
