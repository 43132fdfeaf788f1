/** npm run verify -- <folder> [--fallback folder] [--all] */
import { Command } from 'commander';
import { loadComponents } from '../../src/components.js';
import { OnnxRuntimeBackend } from '../../src/backends/onnxruntime/onnxruntime-backend.js';
import { UserError } from '../../src/base/errors.js';
import type { Output } from '../../src/registry/schema.js';
import { validateComponent } from '../../src/registry/validate.js';
import { BACKENDS } from '../../src/backends/backend.js';
import { verify } from './verify.js';

const program = new Command('npm run verify --')
  .description('compare with reference numbers of diffusers, transformers and PEFT; exit 1 on any miss')
  .argument('<folder>', 'reference numbers: a folder with reference/index.json')
  .option('--fallback <folder>', 'another such folder, for components the first one lacks')
  .option('--all', 'a row for every tensor, not only per file')
  .addHelpText('after', '\nExample:\n  npm run verify -- ../shared/golden --all')
  .parse();
const { fallback, all } = program.opts<{ fallback?: string; all?: boolean }>();

await loadComponents();
const options = validateComponent(BACKENDS, { type: 'OnnxRuntimeBackend' });
const backend = new OnnxRuntimeBackend(options as Output<typeof OnnxRuntimeBackend.options>); // as the schema has just checked
try {
  const report = await verify(program.args[0], fallback, backend, (file) => process.stderr.write(`${file}\n`));
  console.log(report.table(all !== true));
  for (const line of report.skippedLines(all !== true)) console.log(line);
  console.log(`${report.rows.length} compared, ${report.misses.length} missed, ${report.skipped.length} skipped`);
  if (report.misses.length > 0) process.exitCode = 1;
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(`verify: ${error.message}`);
  process.exitCode = 1;
} finally {
  await backend.dispose();
}
