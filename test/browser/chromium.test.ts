/** examples/browser in a real browser: the picture on its canvas is the one that Node draws. */
import { cpSync, existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import t from 'tap';
import { build, preview } from 'vite';
import { exportOnnx, loadPipeline, train } from '../../src/index.js';
import { CHROMIUM } from '../fixtures/browser/chromium.js';
import { UNWATCHED } from '../fixtures/browser/toyland-dog.js';

t.setTimeout(300_000);

const MODEL = 'assets/toyland-small-sd',
  PROMPT = 'a photo of sks dog in a bucket';
/** Of 255, per device. SwiftShader computes exp and division to WebGPU's own, looser precision. */
const LIMITS = { wasm: 1, webgpu: 3 } as const;

void t.test('the page draws what Node draws', { skip: existsSync(CHROMIUM) ? false : `no ${CHROMIUM}` }, async (t) => {
  const root = resolve('examples/browser'),
    outDir = t.testdir({}),
    run = join(outDir, 'run');
  await train('toyland_small_sd_dreambooth_lora_dog', { workDir: run, options: UNWATCHED });
  const alias = { 'diffengine/browser': resolve('dist/src/browser/index.js') };
  await build({ root, logLevel: 'error', resolve: { alias }, build: { outDir } });
  await exportOnnx(MODEL, { out: join(outDir, 'model') });
  cpSync(join(run, 'step1'), join(outDir, 'adapter'), { recursive: true });
  const node = await loadPipeline(MODEL);
  t.teardown(() => node.dispose());
  await node.loadAdapter(run);

  const server = await preview({ root, logLevel: 'error', build: { outDir }, preview: { port: 0, host: '127.0.0.1' } });
  t.teardown(() => server.close());
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'],
  });
  t.teardown(() => browser.close());
  const page = await browser.newPage(),
    asked: string[] = [],
    broken: string[] = [];
  page.on('request', (request) => void asked.push(request.url()));
  page.on('pageerror', (error) => void broken.push(error.message));
  const [address] = server.resolvedUrls?.local ?? [];

  for (const [device, steps, guidance] of [
    ['wasm', 4, 7.5],
    ['webgpu', 1, 1],
  ] as const) {
    await page.goto(`${address}?device=${device}`);
    t.equal(await said(page, /^(?!Opening)/), `Ready: 64 px, ${device}.`);
    for (const [name, value] of Object.entries({ prompt: PROMPT, steps, guidance, adapter: './adapter' }))
      await page.fill(`[name=${name}]`, String(value));
    await page.press('[name=prompt]', 'Enter');
    t.match(await said(page, /^(?!Ready|Step|Opening)/), /^Drawn in [\d.]+ s \(\w+\)\.$/);
    const expected = await node.draw({ prompt: PROMPT, seed: 0, steps, guidanceScale: guidance });
    const drawn = await pixels(page),
      most = Math.max(...expected.data.map((v, i) => Math.abs(v - drawn[i])));
    t.equal(drawn.length, 64 * 64 * 3);
    t.ok(most <= LIMITS[device], `${device}: ${most} of 255 at most`);
    t.comment(`${device}: ${most} of 255 at most`);
  }
  t.equal(await page.evaluate('crossOriginIsolated'), true, 'threads of WebAssembly can run');
  t.strictSame(
    asked.filter((url) => !url.startsWith(address) && !/^(blob|data):/.test(url)),
    [],
    'nothing is asked of another host',
  );
  t.strictSame(broken, []);
});

/** What the page says once it fits. */
async function said(page: Page, wanted: RegExp): Promise<string> {
  const fits = `new RegExp(${JSON.stringify(wanted.source)}).test(document.querySelector('[role=status]').textContent)`;
  const thrown = new Promise<never>((_, reject) => page.once('pageerror', reject));
  await Promise.race([page.waitForFunction(fits, null, { timeout: 120_000 }), thrown]);
  return (await page.textContent('[role=status]')) ?? '';
}

/** Red, green, blue of the canvas. */
async function pixels(page: Page): Promise<number[]> {
  const rgba = await page.evaluate<number[]>(
    "(() => { const c = document.querySelector('canvas'); return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]; })()",
  );
  return rgba.filter((_, i) => i % 4 !== 3);
}
