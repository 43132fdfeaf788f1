import t from 'tap';
import { duration, Pace, track } from '../../src/base/progress.js';
import type { ProgressLogger } from '../../src/base/logger.js';

void t.test('track: whole things are counted, not their steps, and the time left follows from the steps', (t) => {
  let now = 0;
  const lines: string[] = [],
    log = { info: (line: string) => void lines.push(line), warn: () => {}, debug: () => {} };
  const task = track(log, { what: 'pictures', total: 3, each: 10 }, () => now);
  for (let step = 1; step <= 30; step++) {
    now += step === 1 ? 60_000 : 1000; // programs are compiled in the first
    task.update(step);
  }
  t.strictSame(lines, ['pictures: 0/3', 'pictures: 1/3, 0:00:19 left', 'pictures: 2/3, 0:00:09 left']);
  t.end();
});

void t.test('track: a bar where there is one, nothing where all is over in two seconds', (t) => {
  let now = 0;
  const texts: [number, string][] = [],
    bar = { update: (done: number, text: string) => void texts.push([done, text]), stop: () => texts.push([-1, '']) };
  const log: ProgressLogger = { info: t.fail, warn: t.fail, debug: t.fail, progress: () => bar };
  const task = track(log, { what: 'pictures', total: 2, each: 2 }, () => now);
  for (let step = 1; step <= 4; step++) {
    now += 1000;
    task.update(step);
  }
  task.stop();
  t.strictSame(texts, [
    [2, 'pictures 1/2  0:00:02 left'],
    [3, 'pictures 1/2  0:00:01 left'],
    [4, 'pictures 2/2  0:00:00 left'],
    [-1, ''],
  ]);
  t.equal(new Pace(5).left(), undefined);
  t.equal(duration(3725), '1:02:05');
  t.end();
});
