// Keeps with shipped weights how they were made: node scripts/record-training.mjs <work dir> <folder of the weights> <commit> [note]
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [workDir, folder, commit, note] = process.argv.slice(2);
if (commit === undefined) {
  console.error(
    'usage: node scripts/record-training.mjs <work dir> <folder of the weights> <commit of the code that trained them> [note]',
  );
  process.exit(1);
}
const LINES = 25;
const last = readFileSync(join(workDir, 'last_checkpoint'), 'utf8').trim();
const { seed, config, diffengine, iteration } = JSON.parse(readFileSync(join(workDir, last, 'run.json'), 'utf8'));
const log = readFileSync(join(workDir, 'log.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line));
const started = readdirSync(workDir)
  .find((name) => /^\d{8}_\d{6}\.log$/.test(name))
  ?.slice(0, 8);
// Means over equal parts of the run: single iterations are noisy.
const size = Math.ceil(log.length / LINES);
const summary = Array.from({ length: Math.ceil(log.length / size) }, (_, i) => {
  const part = log.slice(i * size, (i + 1) * size),
    names = Object.keys(part[0]).filter((name) => name !== 'iter');
  const mean = (name) => Number((part.reduce((sum, row) => sum + (row[name] ?? 0), 0) / part.length).toPrecision(5));
  return { until_iter: part[part.length - 1].iter, ...Object.fromEntries(names.map((name) => [name, mean(name)])) };
});
const record = {
  name: config.work_dir ?? workDir.split('/').pop(),
  started,
  commit,
  diffengine,
  seed,
  iterations: iteration + 1,
  ...(note ? { note } : {}),
  config,
  log_means: summary,
};
writeFileSync(join(folder, 'training.json'), `${JSON.stringify(record, null, 2)}\n`);
console.log(`${join(folder, 'training.json')}: ${log.length} iterations in ${summary.length} lines`);
