/** Who may ask the server of `diffengine ui`, and for what. */
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { pollFolder } from '../../../tools/ui/folder-watch.js';
import { Ui } from '../../fixtures/tools/ui.js';

const PNG = Buffer.from('89504e470d0a1a0a0000000d494844520000000500000004080200000000000000', 'hex');
const RUN = {
  'config.yaml': 'train_cfg: { max_iters: 1 }',
  'log.jsonl': '',
  vis: { step0: { '0.png': PNG }, 'a b.png': PNG },
};

void t.test('only the token lets in: once in the link, then as a cookie, or as a header of a program', async (t) => {
  const ui = await Ui.start(t, t.testdir({ run: RUN })),
    { token, port } = ui.server,
    wrong = `${token.slice(0, -1)}${token.endsWith('x') ? 'y' : 'x'}`;
  const status = async (path: string, headers = {}): Promise<number> => (await ui.raw(path, { headers })).status;
  t.equal(token.length, 32);
  for (const path of ['/', '/api/runs', '/api/events', '/assets/x.js', `/?token=${wrong}`, `/api/runs?token=${token}`])
    t.equal(await status(path), 403, path);
  t.equal(await status('/api/runs', { authorization: `Bearer ${wrong}` }), 403);
  t.equal(await status('/api/runs', { authorization: `Bearer ${token}` }), 200);
  const first = await ui.raw(`/?token=${token}`);
  t.equal(first.status, 200);
  t.match(first.text, /<!doctype html>/i);
  const [cookie] = first.headers['set-cookie'] ?? [];
  t.equal(cookie, `diffengine_${port}=${token}; Path=/; HttpOnly; SameSite=Strict`);
  t.equal(await status('/api/runs', { cookie: `diffengine_${port}=${token}` }), 200);
  t.equal(await status('/', { cookie: `diffengine_${port}=${token}` }), 200);
  t.equal(await status('/api/runs', { cookie: `diffengine_${port + 1}=${token}` }), 403, "another server's");
  const { headers } = await ui.ask('/api/runs');
  t.match(headers['content-security-policy'], /default-src 'none'; script-src 'self'; .*frame-ancestors 'none'/);
  t.strictSame(
    [headers['cross-origin-resource-policy'], headers['referrer-policy'], headers['x-content-type-options']],
    ['same-origin', 'no-referrer', 'nosniff'],
  );
  t.equal(headers['access-control-allow-origin'], undefined);
});

void t.test('other hosts and other pages are refused, with the token, too', async (t) => {
  const ui = await Ui.start(t, t.testdir({ run: RUN })),
    { token, port } = ui.server,
    cookie = `diffengine_${port}=${token}`,
    own = `http://127.0.0.1:${port}`;
  const get = async (headers: Record<string, string>, path = '/api/runs'): Promise<number> =>
    (await ui.raw(path, { headers: { cookie, ...headers } })).status;
  for (const host of [`evil.example:${port}`, '127.0.0.1', `127.0.0.1:${port + 1}`, `127.0.0.1.evil.example:${port}`])
    t.equal(await get({ host }), 403, `Host ${host}`);
  for (const host of [`localhost:${port}`, `[::1]:${port}`]) t.equal(await get({ host }), 200, `Host ${host}`);
  const bare = await new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(`GET /api/runs HTTP/1.0\r\nCookie: ${cookie}\r\n\r\n`),
    );
    socket.once('data', (bytes) => done(String(bytes).split('\r\n')[0]));
  });
  t.equal(bare, 'HTTP/1.1 403 Forbidden', 'no Host');
  t.equal(await get({ origin: 'http://evil.example' }), 403);
  t.equal(await get({ origin: `http://127.0.0.1:${port + 1}` }), 403, 'another server of this machine');
  t.equal(await get({ 'sec-fetch-site': 'same-site' }), 403, 'its pages, too');
  t.equal(await get({ 'sec-fetch-site': 'same-origin' }), 200);
  t.equal(
    await get({ 'sec-fetch-site': 'cross-site' }, `/?token=${token}`),
    200,
    'a link of a notebook opens the page',
  );

  const post = async (headers: Record<string, string>, body = '{}'): Promise<number> =>
    (await ui.raw('/api/runs', { method: 'POST', headers: { cookie, ...headers }, body })).status;
  t.equal(await post({}), 403, 'no Origin');
  t.equal(await post({ origin: 'null' }), 403);
  t.equal(await post({ origin: 'http://evil.example' }), 403);
  t.equal(await post({ origin: own, cookie: '' }), 403, 'no token');
  t.equal(await post({ origin: own }), 400, 'let in, and asked for the config');
  t.equal(await post({ origin: own }, 'no json'), 400);
  t.equal(await post({ origin: own }, `{"config":"${'x'.repeat(70_000)}"}`), 400, 'more than a request has');
});

void t.test('it listens on loopback alone', async (t) => {
  const ui = await Ui.start(t, t.testdir({}));
  const outer = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find(({ internal, family }) => !internal && family === 'IPv4');
  if (!outer) return t.comment('this machine has no other address');
  const error = await new Promise((done) =>
    connect(ui.server.port, outer.address, () => done('open')).on('error', done),
  );
  t.match(error, { code: 'ECONNREFUSED' });
});

void t.test('pictures of a run are served, and no other file of the machine', async (t) => {
  const root = t.testdir({ outside: { 'secret.png': PNG }, runs: { run: RUN }, 'runs-evil': { 'x.png': PNG } }),
    run = join(root, 'runs/run');
  symlinkSync('../../../outside/secret.png', join(run, 'vis/link.png'));
  symlinkSync('../../../outside', join(run, 'vis/linked'));
  symlinkSync('../config.yaml', join(run, 'vis/config.png'));
  const ui = await Ui.start(t, join(root, 'runs'));
  const picture = await ui.ask('/api/runs/run/files/vis/step0/0.png');
  t.strictSame([picture.status, picture.headers['content-type'], picture.bytes.equals(PNG)], [200, 'image/png', true]);
  t.equal((await ui.ask('/api/runs/run/files/vis/a%20b.png')).status, 200);
  const bad = [
    'config.yaml',
    'log.jsonl',
    'vis',
    'vis/',
    'vis/none.png',
    'vis/link.png',
    'vis/linked/secret.png',
    'vis/config.png',
    '../../outside/secret.png',
    'vis/../../../outside/secret.png',
    '%2e%2e/%2e%2e/outside/secret.png',
    '..%2f..%2foutside%2fsecret.png',
    '%2e%2e%2f%2e%2e%2foutside%2fsecret.png',
    '%252e%252e%252f%252e%252e%252foutside%252fsecret.png',
    '..%5c..%5coutside%5csecret.png',
    '../../runs-evil/x.png',
    encodeURIComponent(join(root, 'outside/secret.png')),
    `/${join(root, 'outside/secret.png')}`,
    'vis/step0/0.png%00.jpg',
    'vis/step0/%00',
    '%',
    'vis/step0/0.png/',
    './vis/.hidden.png',
  ];
  for (const path of bad) {
    const { status, bytes } = await ui.ask(`/api/runs/run/files/${path}`);
    t.ok([400, 404].includes(status) && !bytes.includes(PNG.subarray(0, 8)), `${path}: ${status}`);
  }
  for (const id of ['..', '%2e%2e', '..%2foutside', '.', '%2e', 'run%2f..%2f..%2foutside', encodeURIComponent(root)])
    for (const rest of ['', '/log', '/files/secret.png']) {
      const { status } = await ui.ask(`/api/runs/${id}${rest}`);
      t.ok([400, 404].includes(status), `${id}${rest}: ${status}`);
    }
  for (const path of [
    '/../package.json',
    '/%2e%2e/package.json',
    '/..%2f..%2fpackage.json',
    '/assets/../../package.json',
  ])
    t.equal((await ui.ask(path)).status, 404, path);
});

void t.test('a run whose process was killed no longer runs', async (t) => {
  const root = t.testdir({ run: RUN }),
    ui = await Ui.start(t, root);
  const script = `const { acquireLock } = await import(${JSON.stringify(pathToFileURL(resolve('dist/src/engine/work-dir-lock.js')))});
    await acquireLock(${JSON.stringify(join(root, 'run/.lock'))}); console.log('locked'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const state = async (): Promise<unknown> => (await ui.json<{ state: string }[]>('/api/runs'))[0].state;
  t.equal(await state(), 'running');
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.equal(await state(), 'failed');
});

void t.test('a folder that the system does not watch is looked at', async (t) => {
  const path = t.testdir({ gone: '', kept: '', grown: 'a' }),
    told: string[] = [],
    watch = pollFolder(path, (name) => told.push(name), 20);
  t.teardown(() => watch.close());
  const wait = (): Promise<void> => new Promise((done) => setTimeout(done, 200));
  await wait();
  t.strictSame(told, [], 'what was there is no news');
  rmSync(join(path, 'gone'));
  writeFileSync(join(path, 'new'), '');
  writeFileSync(join(path, 'grown'), 'ab');
  await wait();
  t.strictSame([...new Set(told)].sort(), ['gone', 'grown', 'new']);
});

void t.test('what is started comes from the list, and writes below the folder', async (t) => {
  const root = t.testdir({
    'outside.yaml': 'model: {}',
    work: { 'own.yaml': 'model: {}\n', 'notes.yaml': 'a: 1\n', runs: { run: RUN } },
  });
  symlinkSync('../outside.yaml', join(root, 'work/link.yaml'));
  const ui = await Ui.start(t, join(root, 'work/runs'), join(root, 'work'));
  const names = await ui.json<{ name: string; source: string }[]>('/api/configs');
  t.strictSame(names[0], { name: 'own.yaml', source: 'folder' });
  t.strictSame(names.filter(({ source }) => source === 'folder').length, 1, 'not the copy of a run, not any YAML');
  t.ok(names.some(({ name }) => name === 'tiny_random_sd_dreambooth_lora_dog'));
  const refused = async (body: object, path = '/api/runs'): Promise<string> => {
    const { status, text } = await ui.ask(path, 'POST', body);
    return `${status} ${(JSON.parse(text) as { error: string }).error}`;
  };
  const tiny = { config: 'tiny_random_sd_dreambooth_lora_dog' };
  for (const config of ['../outside.yaml', join(root, 'outside.yaml'), 'link.yaml'])
    t.match(await refused({ config }), /^400 config .*: outside of /, config);
  t.match(await refused({ config: 'none.ts' }), /^400 config "none.ts": no such file; choose one of the list$/);
  t.match(await refused({ config: '--help' }), /^400 config "--help": no built-in config of that name/);
  for (const workDir of ['../x', '/tmp/x', '.', 'a/../../x', '.hidden'])
    t.match(await refused({ ...tiny, workDir }), /^400 work dir ".*": choose a folder below /, workDir);
  t.match(await refused({ ...tiny, workDir: 'run' }), /^409 run: a run is there already; resume it/);
  t.match(
    await refused({ ...tiny, cfgOptions: ['--work-dir=/tmp/x'] }),
    /^400 option "--work-dir=\/tmp\/x": write path/,
  );
  t.match(
    await refused({ ...tiny, cfgOptions: ['custom_imports=[/x.js]'] }),
    /^400 option .*: set custom_imports in the/,
  );
  t.match(
    await refused({ ...tiny, cfgOption: [] }),
    /^400 start.cfgOption: unknown option; did you mean "cfgOptions"\?/,
  );
  t.match(await refused({}, '/api/runs/run/stop'), /^409 run: it is not running$/);
  t.match(await refused({}, '/api/runs/none/stop'), /^404 no run "none"/);
  const draw = { run: 'run', checkpoint: 'step1', prompt: 'x' };
  t.match(await refused(draw, '/api/drawings'), /^409 run: its model draws no pictures/);
  t.match(await refused({ ...draw, steps: 0 }, '/api/drawings'), /^400 draw.steps/);
  t.match(await refused({ ...draw, scheduler: 'DDIMSchedule' }, '/api/drawings'), /did you mean "DDIMScheduler"/);
  t.equal((await ui.ask('/api/drawings/1', 'DELETE')).status, 404);
});
