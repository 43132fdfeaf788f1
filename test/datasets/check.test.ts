import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { UserError } from '../../src/base/errors.js';
import type { Progress } from '../../src/base/logger.js';
import { checkPictures } from '../../src/datasets/check.js';
import type { DatasetServices } from '../../src/datasets/dataset.js';
import { image } from '../../src/datasets/image/picture.js';
import { Pipeline } from '../../src/datasets/pipeline.js';
import { ToTensor } from '../../src/datasets/transforms/to-tensor.js';

/** Pictures that each take so long to load. */
const candidates = (count: number, ms: number) =>
  Array.from({ length: count }, (_, i) => ({
    text: '',
    source: {
      name: `${i}.png`,
      load: async () => {
        await sleep(ms);
        return image(new Uint8Array(3), 1, 1);
      },
    },
  }));

function services(progress?: (total: number) => Progress) {
  const lines: string[] = [];
  const note = (line: string) => void lines.push(line);
  const logger = { info: note, warn: note, debug: note, ...(progress && { progress }) };
  return {
    lines,
    logger,
    cacheDir: '',
    seed: 0,
    resolveDataset: async (id: string) => id,
  } satisfies DatasetServices & {
    lines: string[];
  };
}

void t.test('a check that takes more than 2 s says how far it is: a bar on a terminal, a line in a pipe', async (t) => {
  const updates: [number, string][] = [];
  let total = 0,
    stopped = 0;
  const pipe = services(),
    terminal = services((all) => {
      total = all;
      return { update: (done, text) => void updates.push([done, text]), stop: () => void stopped++ };
    }),
    quick = services();
  await Promise.all([
    checkPictures(candidates(9, 800), new Pipeline([new ToTensor()]), pipe),
    checkPictures(candidates(9, 800), new Pipeline([new ToTensor()]), terminal),
    checkPictures(candidates(9, 1), new Pipeline([new ToTensor()]), quick),
  ]);
  t.strictSame(pipe.lines, ['pictures checked: 9/9, 0:00:00 left']);
  t.strictSame([total, stopped, updates, terminal.lines], [9, 1, [[9, 'pictures checked 9/9  0:00:00 left']], []]);
  t.strictSame(quick.lines, []);
});

void t.test('each picture is loaded once, and training finds it in memory', async (t) => {
  let loads = 0;
  const source = {
    name: 'a.png',
    load: async () => {
      loads++;
      return image(new Uint8Array(3), 1, 1);
    },
  };
  const pipeline = new Pipeline([new ToTensor()]);
  await checkPictures([{ source, text: 'x' }], pipeline, services());
  t.strictSame((await pipeline.run(source, 'x', undefined as never)).img.shape, [3, 1, 1]);
  t.equal(loads, 1);
});

void t.test(
  'many broken pictures are counted, three of each reason named; a defect is no broken picture',
  async (t) => {
    const failing = (error: (name: string) => Error) =>
      Array.from({ length: 5 }, (_, i) => {
        const name = `${i}.png`;
        return { text: '', source: { name, load: () => Promise.reject(error(name)) } };
      });
    const pipeline = new Pipeline([new ToTensor()]);
    await t.rejects(
      checkPictures(
        failing((name) => new UserError(`${name}: broken; mend it`)),
        pipeline,
        services(),
      ),
      new UserError('5 of 5 pictures cannot be used: 0.png, 1.png, 2.png, ...: broken; mend it'),
    );
    await t.rejects(
      checkPictures(
        failing(() => new TypeError('defect')),
        pipeline,
        services(),
      ),
      new TypeError('defect'),
    );
  },
);
