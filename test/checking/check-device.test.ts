import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { verdict } from '../../src/checking/check-device.js';

const CLI = fileURLToPath(new URL('../../tools/cli.js', import.meta.url));
const doctor = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, [CLI, 'doctor', ...args], { encoding: 'utf8' });

t.setTimeout(120_000); // sixty steps of a small network
void t.test('doctor --check cpu: compares primitives, gradients, training and a picture, and gives a verdict', (t) => {
  const { status, stdout, stderr } = doctor('--check', 'cpu');
  t.equal(status, 0, stderr);
  for (const line of [
    /^ {2}device +\S+/m,
    /^ {2}ok {3}values of all primitives: \d\d+ compared; largest differences: \S+ \d\.\de-\d+, /m,
    /^ {2}ok {3}gradients of all primitives: 1\d\d compared; largest differences: d \S+ \d\.\de-\d+, /m,
    /^ {2}ok {3}products in 16 bits: 9 compared; largest differences: /m,
    /^ {2}ok {3}6 LoRA steps against the CPU: losses differ by 0\.0e\+0 of their size \(the last is 1\.3\d+\), gradient norms by 0\.0e\+0, trained weights by 0\.0e\+0$/m,
    /^ {2}ok {3}a picture against the CPU: pixels differ by at most 0 of 255$/m,
    /^ {2}ok {3}memory of the process over 50 steps: \d+ MiB, then [+-]\d+ MiB$/m,
    /^ {7}time of a small LoRA step: median [\d.]+ ms, [\d.]+ ms to [\d.]+ ms for 8 of 10\nverdict: good: /m,
  ])
    t.match(stdout, line);
  t.end();
});

void t.test('doctor: a number without cuda is refused; the verdict names what does not hold', (t) => {
  const { status, stderr } = doctor('--check', 'cpu', '--device-id', '1');
  t.equal(status, 1);
  t.match(stderr, /^diffengine: --device-id 1: only cuda devices have numbers; add --check cuda/);
  const checks = [
    { what: 'values', found: '', isGood: true },
    { what: 'a picture', found: '', isGood: false },
    { what: 'time', found: '', isGood: undefined },
  ];
  t.equal(verdict(checks), 'NOT GOOD: a picture');
  t.equal(verdict([checks[0], checks[2]]), 'good: it computes what the reference and the CPU compute');
  t.end();
});
