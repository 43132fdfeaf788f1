/** The reproduction: its stages are commands that exist, and its page says what the numbers say. */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import t from 'tap';
import { builtInConfigs } from '../../src/registry/load-config.js';
import { withInterval, type Result } from '../../tools/repro/result.js';
import { ALL_STAGES, EXPERIMENTS } from '../../tools/repro/stages.js';
import { DISTILLATION_TITLE, verdicts } from '../../tools/repro/text.js';

void t.test('every stage has an id of its own and commands with built-in configs', async (t) => {
  t.equal(new Set(ALL_STAGES.map(({ id }) => id)).size, ALL_STAGES.length);
  const known = await builtInConfigs();
  for (const { id, commands } of ALL_STAGES) {
    for (const args of commands) {
      t.ok(existsSync(`tools/commands/${args[0]}.ts`), `${id}: ${args[0]}`);
      const config = args[0] === 'train' ? args[1] : args[args.indexOf('--config') + 1];
      if (args[0] === 'train' || args.includes('--config')) t.ok(known.has(config), `${id}: ${config}`);
      const folders = args.flatMap((arg) => arg.match(/package:(assets\/toyland-instances\/\S+)/)?.[1] ?? []);
      for (const folder of folders) t.ok(existsSync(folder), `${id}: ${basename(folder)}`);
    }
  }
});

const result = (id: string, scores: Readonly<Record<string, readonly [number, number | null]>>): Result =>
  ({
    stage: EXPERIMENTS.find((stage) => stage.id === id),
    evaluation: {
      scores: Object.entries(scores).map(([name, [value, half_width_95]]) => ({
        name,
        better: 'lower',
        value,
        half_width_95,
        per_seed: [],
      })),
    },
  }) as unknown as Result;

const CLAIM = '**Distillation beats training on the data alone** (FD): ';

void t.test('a verdict says whether the better one is better, and whether the intervals are apart', (t) => {
  const kd = result('kd', { FD: [2, 0.5] });
  t.strictSame(verdicts(DISTILLATION_TITLE, [kd, result('no_kd', { FD: [4, 1] })]), [
    `${CLAIM}holds here, with intervals that do not overlap.`,
  ]);
  t.strictSame(verdicts(DISTILLATION_TITLE, [kd, result('no_kd', { FD: [3, 1] })]), [
    `${CLAIM}cannot be told here, for intervals overlap, for kd against no_kd.`,
  ]);
  t.strictSame(verdicts(DISTILLATION_TITLE, [kd, result('no_kd', { FD: [1.5, 1] })]), [
    `${CLAIM}cannot be told here, for intervals overlap, for kd against no_kd.`,
  ]);
  t.strictSame(verdicts(DISTILLATION_TITLE, [kd, result('no_kd', { FD: [0.5, 0.5] })]), [
    `${CLAIM}does not hold here for kd against no_kd.`,
  ]);
  t.strictSame(verdicts(DISTILLATION_TITLE, [kd]), [], 'nothing is said of what was not run');
  const higher = verdicts('DreamBooth with LoRA', [
    result('dreambooth_sd_dog', { 'CLIP-I': [0.9, 0.01] }),
    result('untuned_sd_dog', { 'CLIP-I': [0.5, 0.02] }),
  ]);
  t.strictSame(higher, [
    '**Tuning brings the subject into the pictures** (CLIP-I): holds here, with intervals that do not overlap.',
  ]);
  t.end();
});

void t.test('a value is printed with two digits of its interval', (t) => {
  t.equal(withInterval(result('no_kd', { FD: [12.3456, 0.0321] }), 'FD'), '12.346 ± 0.032');
  t.equal(withInterval(result('no_kd', { FD: [123.456, 4.321] }), 'FD'), '123.5 ± 4.3');
  t.equal(withInterval(result('no_kd', { FD: [0.5, null] }), 'FD'), '0.5000');
  t.equal(withInterval(result('no_kd', {}), 'FD'), '');
  t.end();
});
