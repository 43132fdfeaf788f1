import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { readFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { resolveModel } from '../../../src/formats/hub/hub.js';
import { proxyFor } from '../../../src/formats/hub/proxy.js';
import { HubServer } from '../../fixtures/formats/hub-server.js';

const NAMES = ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'].flatMap((name) => [name, name.toUpperCase()]);

/** Sets the environment for a test. */
function environment(t: Test, values: Record<string, string>): void {
  const before = Object.fromEntries([...NAMES, 'HF_ENDPOINT'].map((name) => [name, process.env[name]]));
  t.teardown(() => {
    for (const [name, value] of Object.entries(before))
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
  });
  for (const name of NAMES) Reflect.deleteProperty(process.env, name);
  Object.assign(process.env, values);
}

async function listen(t: Test, server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

void t.test('a proxy: chosen by protocol and host, as curl and requests read the environment', (t) => {
  const env = {
    https_proxy: 'http://p:1',
    HTTPS_PROXY: 'http://q:2',
    HTTP_PROXY: 'r:3',
    NO_PROXY: 'hub.lan, .corp ,x.org:8443',
  };
  t.equal(proxyFor('https://huggingface.co/a', env), 'http://p:1', 'small letters first');
  t.equal(proxyFor('http://huggingface.co/a', env), 'http://r:3', 'http:// may be left out');
  t.equal(proxyFor('https://hub.lan/a', env), undefined);
  t.equal(proxyFor('https://www.hub.lan/a', env), undefined, 'subdomains too');
  t.equal(proxyFor('https://nothub.lan/a', env), 'http://p:1');
  t.equal(proxyFor('https://a.CORP/', env), undefined);
  t.equal(proxyFor('https://x.org/', env), 'http://p:1', 'another port');
  t.equal(proxyFor('https://x.org:8443/', env), undefined);
  t.equal(proxyFor('https://a.b/', { ALL_PROXY: 'http://s:4' }), 'http://s:4');
  t.equal(proxyFor('https://a.b/', { HTTP_PROXY: 'http://s:4' }), undefined);
  t.equal(proxyFor('https://a.b/', { HTTPS_PROXY: 'http://s:4', no_proxy: '*' }), undefined);
  t.equal(proxyFor('http://[::1]:8080/', { http_proxy: 'http://s:4', no_proxy: '::1' }), undefined);
  t.end();
});

void t.test('a model comes through the proxy, and past it where NO_PROXY names the hub', async (t) => {
  const hub = new HubServer(),
    endpoint = await hub.start();
  t.teardown(() => hub.stop());
  hub.add('models/owner/small', { 'config.json': '{}', 'model.safetensors': Buffer.alloc(5000, 7) });
  const seen: string[] = [];
  const proxy = createServer((asked: IncomingMessage, answer: ServerResponse) => {
    seen.push(asked.url ?? '');
    const { port } = new URL(endpoint),
      { pathname, search } = new URL(asked.url ?? '');
    const on = request({ host: '127.0.0.1', port, path: pathname + search, headers: asked.headers }, (reply) => {
      answer.writeHead(reply.statusCode ?? 500, reply.headers);
      reply.pipe(answer);
    });
    asked.pipe(on);
  });
  environment(t, { HTTP_PROXY: await listen(t, proxy), HF_ENDPOINT: 'http://hub.invalid' });
  const folder = await resolveModel('owner/small', { cacheDir: join(t.testdir(), 'a') });
  t.equal((await readFile(join(folder, 'model.safetensors'))).length, 5000);
  t.ok(
    seen.length >= 4 && seen.every((url) => url.startsWith('http://hub.invalid/')),
    'a name that only the proxy knows',
  );
  seen.length = 0;
  Object.assign(process.env, { HF_ENDPOINT: endpoint, NO_PROXY: '127.0.0.1' });
  await resolveModel('owner/small', { cacheDir: join(t.testdir(), 'b') });
  t.strictSame(seen, []);
});

void t.test('a proxy that fails is named, without its password; https goes through a tunnel', async (t) => {
  const connects: string[] = [];
  const proxy = createServer((_, answer) => answer.writeHead(502).end());
  proxy.on('connect', (asked: IncomingMessage, socket: { end(text: string): void }) => {
    connects.push(asked.url ?? '');
    socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
  });
  const url = (await listen(t, proxy)).replace('//', '//user:secret@');
  environment(t, { HTTP_PROXY: url, HTTPS_PROXY: url, HF_ENDPOINT: 'http://hub.invalid' });
  const cacheDir = t.testdir(),
    named = new RegExp(`cannot be reached through the proxy ${url.replace('user:secret@', '')} \\(`);
  await t.rejects(resolveModel('owner/small', { cacheDir }), { name: 'UserError', message: named });
  process.env.HF_ENDPOINT = 'https://hub.invalid';
  await t.rejects(resolveModel('owner/small', { cacheDir }), { name: 'UserError', message: named });
  t.strictSame([...new Set(connects)], ['hub.invalid:443']);
  process.env.HTTPS_PROXY = 'socks5://s:1';
  await t.rejects(resolveModel('owner/small', { cacheDir }), {
    message: /^socks5:\/\/s:1: no proxy of http, which HTTPS_PROXY/,
  });
});
