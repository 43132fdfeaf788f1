/** `diffengine ui` with real runs: started, watched, drawn with, stopped and resumed over HTTP. */
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';
import { loadPipeline, train } from '../../../src/index.js';
import type { RunView, Scalars } from '../../../src/runs/run-view.js';
import type { Drawing } from '../../../tools/ui/protocol.js';
import { Project, SMALL_CONFIG } from '../../fixtures/tools/cli.js';
import { Ui } from '../../fixtures/tools/ui.js';

t.setTimeout(300_000);

const CONFIG = SMALL_CONFIG.replace('interval: 1 }, logger', 'interval: 100000 }, logger').replace(
  'max_iters: 2',
  'max_iters: 100000',
);

void t.test(
  'a run is started, watched, stopped, drawn with and resumed: it equals one that was never stopped',
  async (t) => {
    const project = Project.create(t, { 'my.yaml': CONFIG }),
      ui = await Ui.start(t, project.path),
      events = await ui.events(t),
      run = '/api/runs/work_dirs%2Fmy';

    const { status, text } = await ui.ask('/api/runs', 'POST', {
      config: 'my.yaml',
      cfgOptions: ['train_cfg.max_itrs=1'],
    });
    t.equal(status, 400);
    t.match(text, /train_cfg.max_itrs: unknown option; did you mean \\"max_iters\\"\?/);
    t.notOk(existsSync(project.file('work_dirs')), 'nothing is half-made');

    t.strictSame(await ui.json('/api/runs', 'POST', { config: 'my.yaml' }), { id: 'work_dirs/my' });
    const early = await ui.until<RunView>(run, ({ iterations }) => iterations >= 2);
    t.strictSame([early.state, early.maxIters], ['running', 100_000]);
    const again = await ui.ask(`${run}/resume`, 'POST', {});
    t.strictSame([again.status, again.text], [409, '{"error":"work_dirs/my: it is running; stop it first"}']);
    await ui.until<Scalars>(`${run}/scalars`, ({ loss }) => loss.iter.length > early.iterations);
    t.equal((await ui.ask(`${run}/stop`, 'POST')).status, 202);
    await ui.ask(`${run}/stop`, 'POST'); // a second signal would end it without a checkpoint
    const stopped = await ui.until<RunView>(run, ({ state }) => state !== 'running'),
      last = stopped.iterations - 1;
    t.equal(stopped.state, 'stopped');
    t.strictSame(stopped.checkpoints, [
      { name: `step${last}`, iter: last, isLast: true, isBest: false, isAdapter: true },
    ]);
    t.match(stopped.environment, {
      command: 'npx diffengine train my.yaml --work-dir work_dirs/my',
      end: { how: 'stopped' },
    });
    const { text: log } = await ui.json<{ text: string }>(`${run}/log`);
    t.match(log, /INFO iter +1\/100000 /);

    const request = { run: 'work_dirs/my', checkpoint: `step${last}`, prompt: 'a photo of sks dog', steps: 2, seed: 5 };
    const size = { width: 64, height: 64, scheduler: 'DDIMScheduler' };
    const [first, second] = await ui.json<Drawing[]>('/api/drawings', 'POST', { ...request, ...size, count: 2 });
    t.match(
      [first, second],
      [
        { number: 1, seed: 5, state: /queued|opening/ },
        { number: 2, seed: 6, state: 'queued' },
      ],
    );
    const [long] = await ui.json<Drawing[]>('/api/drawings', 'POST', {
      ...request,
      ...size,
      steps: 900,
      checkpoint: null,
    });
    const [waits] = await ui.json<Drawing[]>('/api/drawings', 'POST', { ...request, ...size });
    await ui.ask(`/api/drawings/${waits.number}`, 'DELETE');
    const drawingOf = (number: number) => (list: Drawing[]) => list.find((one) => one.number === number);
    await ui.until<Drawing[]>('/api/drawings', (list) => (drawingOf(long.number)(list)?.done ?? 0) > 2);
    await ui.ask(`/api/drawings/${long.number}`, 'DELETE');
    const drawn = await ui.json<Drawing[]>('/api/drawings');
    t.strictSame(
      drawn.map(({ number, state }) => [number, state]),
      [
        [4, 'cancelled'],
        [3, 'cancelled'],
        [2, 'done'],
        [1, 'done'],
      ],
    );
    t.equal((await ui.ask(`/api/drawings/${long.number}/picture`)).status, 404);
    const picture = await ui.ask('/api/drawings/1/picture');
    await using pipe = await loadPipeline('package:assets/tiny-random-sd');
    await pipe.loadAdapter(project.file(`work_dirs/my/step${last}`));
    const own = await pipe.draw({ prompt: request.prompt, seed: 5, steps: 2, ...size });
    t.ok(picture.bytes.equals(await own.png()), 'as the library draws it');
    t.equal((await ui.ask(`/api/drawings/1`, 'DELETE')).status, 204, 'forgotten');
    t.equal((await ui.json<Drawing[]>('/api/drawings')).length, 3);

    const max = `train_cfg.max_iters=${last + 4}`;
    await ui.json(`${run}/resume`, 'POST', { cfgOptions: [max] });
    const done = await ui.until<RunView>(run, ({ state }) => state !== 'running');
    t.strictSame([done.state, done.iterations, done.maxIters], ['done', last + 4, last + 4]);
    await train(project.file('my.yaml'), { workDir: project.file('whole'), options: [max] });
    for (const file of ['log.jsonl', `step${last + 3}/unet/adapter_model.safetensors`])
      t.ok(
        readFileSync(project.file(`whole/${file}`)).equals(readFileSync(project.file(`work_dirs/my/${file}`))),
        `${file}: equal to the last bit`,
      );

    rmSync(project.file('work_dirs/my'), { recursive: true });
    await ui.until<unknown[]>('/api/runs', (list) => list.length === 1); // whole
    const kinds = events.map((event) => (event.kind === 'drawing' ? `drawing ${event.drawing.state}` : event.kind));
    for (const kind of ['run', 'scalars', 'log', 'view', 'gone', 'drawing opening', 'drawing drawing', 'drawing done'])
      t.ok(kinds.includes(kind), `told: ${kind}`);
    const states = events.flatMap((event) =>
      event.kind === 'run' && event.run.id === 'work_dirs/my' ? event.run.state : [],
    );
    t.strictSame(
      states.filter((state, k) => state !== states[k - 1]),
      ['running', 'stopped', 'running', 'done'],
    );
  },
);

void t.test(
  'the command prints its link, takes the next port, and ends with Ctrl-C when its runs are saved',
  async (t) => {
    const project = Project.create(t, { 'my.yaml': CONFIG });
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((done) => other.once('listening', done));
    t.teardown(() => other.close());
    const { port } = other.address() as { port: number };
    const child = spawn(process.execPath, [resolve('dist/tools/cli.js'), 'ui', '--port', String(port)], {
      cwd: project.path,
      env: project.environment(),
    });
    t.teardown(() => child.kill('SIGKILL'));
    let out = '';
    const link = await new Promise<URL>((found) =>
      child.stdout.on('data', (text: Buffer) => {
        out += String(text);
        const [shown] = /http:\S+/.exec(out) ?? [];
        if (shown !== undefined && out.includes('Ctrl-C')) found(new URL(shown));
      }),
    );
    t.match(out, new RegExp(`^port ${port} is taken; this is \\d+\nruns below ${project.path}\nopen http:`));
    const headers = { authorization: `Bearer ${link.searchParams.get('token')}` };
    const body = JSON.stringify({ config: 'my.yaml', workDir: 'mine' });
    t.equal((await fetch(new URL('/api/runs', link), { method: 'POST', headers, body })).status, 200);
    const log = join(project.path, 'mine/log.jsonl');
    while (!existsSync(log) || readFileSync(log, 'utf8') === '') await new Promise((again) => setTimeout(again, 50));
    child.kill('SIGINT');
    const code = await new Promise((done) => child.once('exit', done));
    t.equal(code, 0);
    t.match(out, /waiting for 1 run\n$/);
    t.match(JSON.parse(readFileSync(project.file('mine/environment.json'), 'utf8')), { end: { how: 'stopped' } });
    t.ok(existsSync(project.file('mine/last_checkpoint')));

    for (const [args, said] of [
      [['ui', 'nothing'], /^diffengine: nothing: no such folder; give the one that runs are in, such as work_dirs\n$/],
      [['ui', '--port', '70000'], /not a port: a whole number from 0 to 65535/],
    ] as const) {
      const { code, err } = await project.run(args);
      t.equal(code, 1);
      t.match(err, said);
    }
  },
);
