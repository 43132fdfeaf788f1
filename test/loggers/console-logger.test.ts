/** What is written to a terminal, signs that move its cursor included. */
import t from 'tap';
import { ConsoleLogger } from '../../src/loggers/console-logger.js';
import { fitted } from '../../src/loggers/fit.js';

interface Screen {
  text: string;
  readonly isTTY: boolean;
  readonly columns: number;
  write(s: string): boolean;
}
const screen = (columns = 80): Screen => ({
  text: '',
  isTTY: true,
  columns,
  write(s: string) {
    this.text += s;
    return true;
  },
});
const ENV = { TERM: 'xterm' };

void t.test('on a terminal, lines appear above the bar, whole however long; the bar vanishes with its task', (t) => {
  const out = screen(),
    log = new ConsoleLogger({ out, err: out, env: ENV }),
    long = `work dir ${'x'.repeat(200)} end`;
  const bar = log.progress(10, 0);
  bar?.update(5, '5/10  loss 1.5');
  log.info(long);
  t.match(out.text, `\x1b[J${long}\n`);
  t.match(out.text, '==========----------  5/10  loss 1.5');
  t.notMatch(out.text, '\x1b[?7l', 'the terminal goes on breaking lines');
  bar?.stop();
  t.match(out.text, /\x1b\[0J$/, 'the line is clear');
  t.notMatch(out.text, '\x1b[?25l', 'the cursor is never hidden: Ctrl-C would leave the terminal without');
  log.info('afterwards');
  t.match(out.text, /afterwards\n$/);
  t.end();
});

void t.test('no bars and no escape codes in a pipe, with CI=true and with TERM=dumb', (t) => {
  const kinds = [
    { out: { ...screen(), isTTY: false }, env: ENV },
    { out: screen(), env: { ...ENV, CI: 'true' } },
    { out: screen(), env: { TERM: 'dumb' } },
  ];
  for (const { out, env } of kinds) {
    const log = new ConsoleLogger({ out, env });
    t.equal(log.progress(10, 0), undefined);
    log.info('a line');
    t.equal(out.text, 'a line\n');
  }
  const bar = new ConsoleLogger({ out: screen(), env: { ...ENV, CI: 'false' } }).progress(10, 0);
  t.ok(bar);
  bar?.stop();
  t.end();
});

void t.test('warnings go to standard error when that is a file, though a bar is up', (t) => {
  const out = screen(),
    err = { ...screen(), isTTY: false },
    log = new ConsoleLogger({ out, err, env: ENV });
  const bar = log.progress(10, 0);
  log.warn('slow');
  bar?.stop();
  t.equal(err.text, 'warning: slow\n');
  t.notMatch(out.text, 'slow');
  t.end();
});

void t.test('a bar has the most important pieces that fit', (t) => {
  const text = '120/350  loss 0.06796  0:01:02 left  11.45 it/s  0.4 GiB  lr 2.00e-3  grad_norm 0.03721';
  t.equal(fitted(text, 0.5, 120), `==========----------  ${text}`);
  t.equal(fitted(text, 0.5, 79), '=====-----  120/350  loss 0.06796  0:01:02 left  11.45 it/s  0.4 GiB');
  t.equal(fitted(text, 0.5, 40), '=====-----  120/350  loss 0.06796');
  t.equal(fitted(text, undefined, 30), '120/350  loss 0.06796');
  t.equal(fitted(text, 0.5, 5), '120/3');
  t.end();
});
