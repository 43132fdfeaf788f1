import t from 'tap';
import { ConstantLR } from '../../src/engine/lr_schedules/constant-lr.js';
import { CosineAnnealingLR } from '../../src/engine/lr_schedules/cosine-annealing-lr.js';
import { LinearLR } from '../../src/engine/lr_schedules/linear-lr.js';
import { learningRate, type LrSchedule } from '../../src/engine/lr_schedules/lr-schedule.js';

/** Learning rates of iterations 0..n-1 from a base rate of 0.1. */
const rates = (n: number, ...schedules: LrSchedule[]): number[] =>
  Array.from({ length: n }, (_, i) => Number(learningRate(schedules, i, n, 0.1).toFixed(6)));

const range = { begin: 0, by_epoch: false } as const;

void t.test('no schedule keeps the learning rate', async (t) => t.strictSame(rates(3), [0.1, 0.1, 0.1]));

// Values of mmengine's ConstantParamScheduler: the factor is undone at step end - begin - 1.
void t.test('ConstantLR: the factor until the last iteration of the range, then the full rate', async (t) => {
  t.strictSame(rates(6, new ConstantLR({ ...range, factor: 0.5, end: 4 })), [0.05, 0.05, 0.05, 0.1, 0.1, 0.1]);
});

void t.test('ConstantLR without an end is constant to the end of the run', async (t) => {
  t.strictSame(rates(3, new ConstantLR({ ...range, factor: 0.5 })), [0.05, 0.05, 0.05]);
});

// mmengine's LinearParamScheduler reaches end_factor at step end - begin - 1.
void t.test('LinearLR: a warm-up reaches the full rate in the last iteration before its end', async (t) => {
  t.strictSame(
    rates(7, new LinearLR({ ...range, start_factor: 0.2, end_factor: 1, end: 5 })),
    [0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1],
  );
});

void t.test('LinearLR without an end goes on to the last iteration of the run', async (t) => {
  t.strictSame(rates(5, new LinearLR({ ...range, start_factor: 1, end_factor: 0 })), [0.1, 0.075, 0.05, 0.025, 0]);
});

void t.test('LinearLR leaves the rate alone before its begin', async (t) => {
  t.strictSame(
    rates(6, new LinearLR({ begin: 2, by_epoch: false, start_factor: 1, end_factor: 0.5, end: 5 })),
    [0.1, 0.1, 0.1, 0.075, 0.05, 0.05],
  );
});

// 0.01 + 0.09 (1 + cos(pi t / 4)) / 2
void t.test('CosineAnnealingLR: half a wave in T_max iterations down to eta_min, and up again', async (t) => {
  t.strictSame(
    rates(7, new CosineAnnealingLR({ ...range, T_max: 4, eta_min: 0.01 })),
    [0.1, 0.08682, 0.055, 0.02318, 0.01, 0.02318, 0.055],
  );
});

void t.test('CosineAnnealingLR takes T_max from its range', async (t) => {
  t.strictSame(rates(4, new CosineAnnealingLR({ ...range, eta_min: 0 })), [0.1, 0.085355, 0.05, 0.014645]);
});

void t.test('a warm-up and a cosine with adjoining ranges follow one another', async (t) => {
  const warmup = new LinearLR({ ...range, start_factor: 0.25, end_factor: 1, end: 4 });
  const decay = new CosineAnnealingLR({ begin: 4, by_epoch: false, end: 8, eta_min: 0 });
  t.strictSame(rates(8, warmup, decay), [0.025, 0.05, 0.075, 0.1, 0.1, 0.085355, 0.05, 0.014645]);
});
