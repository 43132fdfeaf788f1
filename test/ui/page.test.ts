/** The page of `diffengine ui` in a real browser, with runs that are over and one that it starts itself. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import type { Page } from 'playwright-core';
import { startUi } from '../../tools/ui/server.js';
import { CHROMIUM } from '../fixtures/browser/chromium.js';
import { launch, openPage } from '../fixtures/browser/open-page.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { writeRun } from '../fixtures/ui/written-run.js';

t.setTimeout(240_000);
const skip = existsSync(CHROMIUM) ? false : `no ${CHROMIUM}`;

/** Iterations that the page says the first shown run has. */
const iterations = async (page: Page): Promise<number> =>
  Number(/^[\d,]+/.exec((await page.textContent('.run-head .count')) ?? '')?.[0].replaceAll(',', '') ?? NaN);
const scrollsSideways = (page: Page): Promise<boolean> =>
  page.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth');

void t.test('runs that are over: list, curves, pictures, evaluation, comparison, keys, dark, phone', { skip }, async (t) => {
  const root = t.testdir({});
  writeRun(join(root, 'slow'), { iterations: 100, lr: 0.001, previews: [-1, 49, 99], evaluated: true });
  writeRun(join(root, 'fast'), { iterations: 100, lr: 0.01, previews: [-1, 49, 99] });
  for (const [i, name] of ['a', 'b', 'c'].entries())
    writeRun(join(root, 'long', name), { iterations: 10_000, lr: 0.001 * (i + 1) });
  const ui = await startUi({ root, cwd: root, port: 0, log: new Lines() });
  t.teardown(() => ui.close());
  const browser = await launch();
  t.teardown(() => browser.close());
  const address = new URL(ui.link).origin;

  const { page, asked, complaints } = await openPage(browser);
  await page.goto(address);
  await page.getByRole('heading', { name: 'Open the link that was printed' }).waitFor();
  t.match(complaints.splice(0), [/403/], 'without the token there is nothing but a word about it');
  await page.goto(ui.link);
  await page.getByRole('button', { name: 'slow', exact: false }).click();
  t.notMatch(page.url(), 'token', 'the token does not stay in the address');
  t.equal(await page.getByRole('list', { name: 'Runs' }).getByRole('listitem').count(), 5);

  await t.test('pictures follow the slider', async (t) => {
    const slider = page.getByRole('slider', { name: 'Moment of the training' }),
      picture = page.getByRole('img', { name: 'a dog at night, after iteration' }).first();
    t.equal(await picture.getAttribute('alt'), 'a dog at night, after iteration 99');
    const box = await picture.boundingBox();
    t.ok(box!.width > 128, `a 64 px picture is ${box!.width} px wide`);
    await slider.focus();
    await page.keyboard.press('ArrowLeft');
    t.equal(await picture.getAttribute('alt'), 'a dog at night, after iteration 49');
    t.match(await picture.getAttribute('src'), /vis\/step49\/0\.png$/);
    t.ok(await page.getByRole('img', { name: 'a dog at night, before training' }).isVisible());
    await page.getByRole('button', { name: 'All side by side' }).click();
    t.strictSame(await page.locator('.side-by-side thead th').allTextContents(), [
      'before training',
      'after iteration 49',
      'after iteration 99',
    ]);
    t.equal(await page.locator('.side-by-side td img').count(), 6);
    await page.getByRole('button', { name: 'One moment' }).click();
    await page.getByRole('button', { name: 'Show large: a dog in the snow, before training' }).click();
    t.ok(await page.getByRole('dialog', { name: 'Picture' }).isVisible());
    await page.keyboard.press('Escape');
    t.notOk(await page.getByRole('dialog', { name: 'Picture' }).isVisible());
  });
});
