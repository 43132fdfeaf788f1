/** The page of `diffengine ui` in a real browser: runs that are over, and one that the page starts, stops and resumes. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import type { Browser, Page } from 'playwright-core';
import { startUi, type UiServer } from '../../tools/ui/server.js';
import { CHROMIUM } from '../fixtures/browser/chromium.js';
import { launch, openPage } from '../fixtures/browser/open-page.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { writeRun } from '../fixtures/ui/written-run.js';

t.setTimeout(240_000);
const skip = existsSync(CHROMIUM) ? false : `no ${CHROMIUM}`;

async function served(t: Test, root: string): Promise<{ ui: UiServer; browser: Browser }> {
  const ui = await startUi({ root, cwd: root, port: 0, log: new Lines() }),
    browser = await launch();
  t.teardown(async () => {
    await browser.close();
    await ui.close();
  });
  return { ui, browser };
}

/** The page's policy allows no text as code, which Playwright's own waitForFunction needs. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; !(await holds()); await new Promise((wait) => setTimeout(wait, 50)))
    if (Date.now() > end) throw new Error(`not within a minute: ${String(holds)}`);
}
const scrollsSideways = (page: Page): Promise<boolean> =>
  page.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth');
const choose = (page: Page, run: string): Promise<void> =>
  page.getByRole('list', { name: 'Runs' }).getByRole('button').filter({ hasText: run }).click();

void t.test('runs that are over: pictures, scores, comparison, keys, dark mode, a phone', { skip }, async (t) => {
  const root = t.testdir({});
  writeRun(join(root, 'slow'), { iterations: 100, lr: 0.001, previews: [-1, 49, 99], evaluated: true });
  writeRun(join(root, 'fast'), { iterations: 100, lr: 0.01, previews: [-1, 49, 99] });
  const { ui, browser } = await served(t, root);
  const { page, asked, complaints } = await openPage(browser, { viewport: { width: 1280, height: 900 } });
  // On a page of its own: the browser complains of what it is refused, favicon included, when it likes.
  const stranger = await openPage(browser);
  await stranger.page.goto(new URL(ui.link).origin);
  t.equal(await stranger.page.textContent('body'), 'no token; open the link that "diffengine ui" printed');
  await page.goto(ui.link);
  await choose(page, 'slow');
  t.notMatch(page.url(), 'token', 'the token does not stay in the address');

  // Pictures follow the slider, and the keyboard moves it.
  const alts = (): Promise<(string | null)[]> =>
    page.locator('.pairs img').evaluateAll((images) => images.map((image) => image.getAttribute('alt')));
  const both = (iter: number): string[] =>
    ['a dog at night', 'a dog in the snow'].flatMap((prompt) => [
      `${prompt}, before training`,
      `${prompt}, after iteration ${iter}`,
    ]);
  await page.locator('.pairs img').first().waitFor();
  t.strictSame(await alts(), both(99));
  await page.getByRole('slider', { name: 'Moment of the training' }).press('ArrowLeft');
  t.strictSame(await alts(), both(49));
  const image = page.locator('.pairs img').nth(1);
  t.match(await image.getAttribute('src'), /\/vis\/step49\/0\.png$/);
  t.ok(((await image.boundingBox())?.width ?? 0) >= 180, '64 px at a size that one can read');
  t.equal(
    await page.evaluate("getComputedStyle(document.querySelectorAll('.pairs img')[1]).imageRendering"),
    'pixelated',
  );
  await page.getByRole('button', { name: 'All side by side' }).click();
  t.strictSame(await page.locator('.side-by-side thead th').allTextContents(), [
    'before training',
    'iteration 49',
    'iteration 99',
  ]);
  t.equal(await page.locator('.side-by-side td img').count(), 6);
  await page.getByRole('button', { name: 'Show large: a dog in the snow, before training' }).click();
  const large = page.getByRole('dialog', { name: 'Picture' });
  t.match(await large.textContent(), 'a dog in the snow, before training · 64 × 64 px');
  await page.keyboard.press('Escape');
  t.notOk(await large.isVisible());

  // Evaluation: before, best and last with the interval; the chart says all of it to those who do not see it.
  const scores = page.getByRole('region', { name: 'CLIP-I' });
  t.strictSame(await scores.locator('td').allTextContents(), [
    '0.200 ± 0.050',
    '0.600 ± 0.050after iteration 99',
    '0.600 ± 0.050',
  ]);
  t.match(
    await scores.getByRole('img').getAttribute('aria-label'),
    '0.200 ± 0.050 before training, 0.400 ± 0.050 after iteration 49, 0.600 ± 0.050 after iteration 99',
  );

  // The chart by keys: to the first value, closer, all again.
  const chart = page.getByRole('group', { name: /^Loss over iterations/ }),
    where = page.locator('.curve-chart .where'),
    reset = page.getByRole('button', { name: 'Show all' });
  t.equal(await where.textContent(), 'iteration 99');
  await chart.press('Home');
  await until(async () => (await where.textContent()) === 'iteration 0');
  t.match(await page.locator('.curve-chart .key').textContent(), /slow1\.100 ?1\.100 unsmoothed/);
  await chart.press('+');
  await reset.waitFor();
  await chart.press('0');
  await reset.waitFor({ state: 'hidden' });
  // And with the mouse: a drag shows a part, a double click all.
  const box = (await page.locator('.u-over').boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
  await page.mouse.move(box.x + box.width * 0.25, box.y + 50);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 50, { steps: 4 });
  await page.mouse.up();
  await reset.waitFor();
  await page.mouse.dblclick(box.x + box.width * 0.5, box.y + 50);
  await reset.waitFor({ state: 'hidden' });
  await page.getByRole('combobox', { name: 'Curve' }).selectOption({ label: 'Learning rate' });
  t.match(await page.locator('.curve-chart .key').textContent(), /slow1\.00e-3/);

  // Two runs over each other; what differs.
  await page.getByRole('checkbox', { name: 'Compare fast' }).check();
  await page.locator('.curve-chart .key').nth(1).waitFor();
  t.match(await page.locator('.curve-chart .key').allTextContents(), [/slow1\.00e-3/, /fast0?\.?0*1\.?\d*/]);
  await page.getByRole('tab', { name: 'Training' }).focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  t.ok(await page.getByRole('tab', { name: 'Config', selected: true }).isVisible(), 'arrow keys move between tabs');
  t.strictSame(await page.locator('.differences tbody th, .differences tbody td').allTextContents(), [
    'optim_wrapper.optimizer.lr',
    '0.001',
    '0.01',
  ]);
  await page.reload();
  await page.locator('.run-head h1').nth(1).waitFor();
  t.match(await page.locator('.run-head h1').allTextContents(), [/slow/, /fast/], 'a reload shows the same');

  // Every control can be reached by Tab, and one sees where one is.
  await page.locator('body').press('Tab');
  const outline = await page.evaluate(
    "getComputedStyle(document.activeElement).outlineStyle + ' ' + document.activeElement.textContent",
  );
  t.equal(outline, 'solid Start a run');

  const dark = await openPage(browser, { viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
  await dark.page.goto(ui.link);
  const background = await dark.page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
  t.equal(background, 'rgb(18, 20, 22)');
  for (const tab of ['Training', 'Draw', 'Config', 'Log', 'Details']) {
    await dark.page.getByRole('tab', { name: tab }).click();
    t.notOk(await scrollsSideways(dark.page), `${tab} fits in 360 px`);
  }
  await dark.page.getByRole('button', { name: 'All runs' }).click();
  await dark.page.getByRole('list', { name: 'Runs' }).waitFor();
  t.notOk(await scrollsSideways(dark.page), 'the list fits in 360 px');

  const { origin } = new URL(ui.link);
  t.strictSame(
    [...asked, ...dark.asked].filter((url) => !url.startsWith(origin) && !url.startsWith('data:')),
    [],
    'nothing is asked of another host',
  );
  t.strictSame([...complaints, ...dark.complaints], []);
});

/** Most that a frame may take when curves move, on any machine: five times of what one notices. */
const FRAME_MS = 500;

void t.test('three runs of 10,000 iterations stay fluid', { skip }, async (t) => {
  const root = t.testdir({});
  for (const [i, name] of ['a', 'b', 'c'].entries())
    writeRun(join(root, name), { iterations: 10_000, lr: 0.001 * (i + 1) });
  const { ui, browser } = await served(t, root);
  const { page, complaints } = await openPage(browser);
  await page.goto(ui.link);
  await page.getByRole('checkbox').nth(2).waitFor();
  for (const box of await page.getByRole('checkbox', { name: /^Compare/ }).all())
    if (!(await box.isChecked())) await box.check();
  await page.locator('.curve-chart .key').nth(2).waitFor();
  t.equal(await page.locator('.curve-chart .where').textContent(), 'iteration 9,999');
  // The smoothing slider draws 60,000 points anew each time; the cursor only looks them up.
  const times = await page.evaluate<number[]>(`(async () => {
    const slider = document.querySelector('.curve-panel input[type=range]'), over = document.querySelector('.u-over');
    const times = [];
    for (let i = 0; i < 20; i++) {
      const began = performance.now();
      if (i < 10) { slider.value = String(0.5 + i / 25); slider.dispatchEvent(new Event('input', { bubbles: true })); }
      else over.dispatchEvent(new MouseEvent('mousemove', { bubbles: true, clientX: 400 + 20 * i, clientY: 300 }));
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      times.push(performance.now() - began);
    }
    return times;
  })()`);
  const sorted = [...times].sort((a, b) => a - b),
    median = sorted[10];
  t.ok(median < FRAME_MS, `median frame ${median.toFixed(0)} ms`);
  t.comment(`median frame ${median.toFixed(0)} ms, longest ${sorted[19].toFixed(0)} ms`);
  t.strictSame(complaints, []);
});

void t.test('a run from the page: it grows, stops, draws, resumes; its report needs no server', { skip }, async (t) => {
  const root = t.testdir({});
  const { ui, browser } = await served(t, root);
  const { page, complaints } = await openPage(browser);
  await page.goto(ui.link);
  await page.getByRole('heading', { name: 'No runs here yet' }).waitFor();
  const dialog = page.getByRole('dialog', { name: 'Start a run' });
  await page.getByRole('main').getByRole('button', { name: 'Start a run' }).click();
  await dialog.getByRole('combobox').selectOption('tiny_random_sd_dreambooth_lora_dog');
  const options = dialog.getByRole('textbox', { name: /^Options/ });
  await options.fill('train_cfg.max_items=5');
  await dialog.getByRole('button', { name: 'Start training' }).click();
  t.match(await dialog.getByRole('alert').textContent(), /max_items.*did you mean "max_iters"/s, 'errors in words');
  await options.fill(
    [
      'train_cfg.max_iters=100000',
      'train_dataloader.dataset.class_prompt=null',
      'train_dataloader.dataset.class_image=null',
      'custom_hooks.preview.num_inference_steps=2',
      'custom_hooks.preview.interval=100000',
    ].join('\n'),
  );
  await dialog.getByRole('textbox', { name: /^Folder/ }).fill('mine');
  await dialog.getByRole('button', { name: 'Start training' }).click();

  const count = page.locator('.run-head .count'),
    chart = page.locator('.curve-chart .where');
  const iteration = async (): Promise<number> => Number((await chart.textContent())?.replace(/\D/g, ''));
  await until(async () => (await iteration()) > 0);
  await page.locator('.pairs img').first().waitFor(); // what is new may make room for itself
  await until(() => page.evaluate("[...document.querySelectorAll('.pairs img')].every(({ complete }) => complete)"));
  await page.evaluate(
    "moved = []; new PerformanceObserver((list) => list.getEntries().forEach(({ sources }) => moved.push(...sources.map(({ node }) => node?.textContent)))).observe({ type: 'layout-shift' })",
  );
  const seen = await iteration();
  await until(async () => (await iteration()) > seen);
  t.equal(await page.locator('.run-head .state').textContent(), 'running');
  t.strictSame(await page.evaluate('moved'), [], 'nothing moves while values come');
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('button', { name: 'Resume ...' }).waitFor();
  t.equal(await page.locator('.run-head .state').textContent(), 'stopped');
  const stopped = Number((await count.textContent())?.replaceAll(',', '').split(' ')[0]);

  await t.test('draw, and cancel', async (t) => {
    await page.getByRole('tab', { name: 'Draw' }).click();
    await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill('a dog on the moon');
    await page.getByRole('spinbutton', { name: 'Steps' }).fill('2');
    await page.getByRole('button', { name: 'Draw', exact: true }).click();
    const drawings = page.locator('.drawing');
    await drawings.getByRole('img', { name: 'a dog on the moon' }).waitFor();
    t.match(await drawings.first().locator('small').textContent(), /^mine step\d+ · seed 0 · 2 steps/);
    await page.getByRole('spinbutton', { name: 'Steps' }).fill('900');
    await page.getByRole('spinbutton', { name: 'Pictures' }).fill('2');
    await page.getByRole('button', { name: 'Draw 2 pictures' }).click();
    await page.getByRole('progressbar', { name: 'Steps' }).waitFor();
    for (const left of [1, 0]) {
      await page.getByRole('button', { name: 'Cancel' }).last().click();
      await until(async () => (await page.getByRole('button', { name: 'Cancel' }).count()) === left);
    }
    t.equal(await page.getByText('cancelled', { exact: true }).count(), 2);
  });

  await page.getByRole('button', { name: 'Resume ...' }).click();
  const resume = page.getByRole('dialog', { name: 'Resume: mine' });
  await resume.getByRole('spinbutton', { name: 'Iterations in all' }).fill(String(stopped + 3));
  await resume.getByRole('button', { name: 'Go on' }).click();
  await page.getByRole('button', { name: 'Train longer ...' }).waitFor();
  t.match(await count.textContent(), (stopped + 3).toLocaleString('en'));
  await page.getByRole('tab', { name: 'Log' }).click();
  await page.getByText(/resumed from/).waitFor();
  t.strictSame(
    complaints.splice(0).filter((text) => !text.includes('400')),
    [],
  );

  const report = await openPage(browser, { viewport: { width: 360, height: 740 } });
  await report.page.goto(pathToFileURL(join(root, 'mine', 'report.html')).href);
  t.equal(await report.page.locator('h1').textContent(), 'mine');
  t.match(await report.page.getByRole('region', { name: /^Command/ }).textContent(), /^npx diffengine train/);
  t.ok(await report.page.locator('.u-over').isVisible(), 'curves');
  t.ok((await report.page.locator('.pairs img').count()) > 0, 'pictures');
  t.notOk(await scrollsSideways(report.page), 'it fits in 360 px');
  t.equal(report.asked.filter((url) => !url.startsWith('data:')).length, 1, 'it asks for nothing but itself');
  t.strictSame(report.complaints, []);
});
