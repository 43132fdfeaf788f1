/** npm run repro [-- --from-scratch] [--only ids...] [--jobs n] [--page]: the runs behind docs/results.md, and the page. */
import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { UserError } from '../../src/base/errors.js';
import { whole } from '../demo-options.js';
import { writePage } from './page.js';
import type { Stage } from './row.js';
import { ALL_ROWS, EXPERIMENTS } from './rows/all.js';
import { runStages } from './run-stages.js';

const program = new Command('npm run repro --')
  .description(
    'make the numbers of docs/results.md: trains, evaluates, writes the page. Run it again after a stop: it goes on where it was. What docs/results/runs holds is not run again; delete that folder and work_dirs/repro to begin anew',
  )
  .option(
    '--from-scratch',
    'also the weights that diffengine ships: CLIP, classifier, autoencoder, U-Net (hours); the experiments still start from the shipped ones',
  )
  .option(
    '--only <names...>',
    'these rows, tables or single trainings: dreambooth_base_dog, kinds, student_tiny_0; search: the runs that the settings were chosen by',
  )
  .option(
    '--jobs <n>',
    'so many runs at once, the processor shared among them; each writes its log into its work dir',
    whole(1),
    1,
  )
  .option('--list', 'show the rows, and what is done of each')
  .option('--page', 'only write the page, from what is done')
  .parse();
const { fromScratch, only, jobs, list, page } = program.opts<{
  fromScratch?: boolean;
  only?: string[];
  jobs: number;
  list?: boolean;
  page?: boolean;
}>();

const named = (name: string, { id, table, stages }: (typeof ALL_ROWS)[number]): readonly Stage[] =>
  id === name || table === name ? stages : stages.filter((stage) => stage.id === name);
const rows = fromScratch ? ALL_ROWS.filter(({ table }) => table !== 'search') : EXPERIMENTS;
const unknown = only?.find((name) => !ALL_ROWS.some((row) => named(name, row).length > 0));

if (unknown !== undefined) fail(`--only ${unknown}: no such row, table or training; --list shows the rows`);
else if (list)
  for (const { id, title, stages } of ALL_ROWS) {
    const done = stages.filter((stage) => existsSync(stage.record)).length;
    console.log(`${done} of ${stages.length}  ${id.padEnd(32)} ${title}`);
  }
else {
  const chosen = only ? ALL_ROWS.flatMap((row) => only.flatMap((name) => named(name, row))) : undefined;
  // Times are of a machine that does nothing else; of weights each needs those before it.
  const alone = new Set(
    ALL_ROWS.flatMap(({ table, stages }) => (['latency', 'weights'].includes(table) ? stages : [])),
  );
  try {
    if (!page) await runStages(inTurn(chosen), { jobs, alone });
    await writePage();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    fail(error.message);
  }
}

/** First one training of each row, so that a page of all rows comes early; then the second of each. */
function inTurn(chosen: readonly Stage[] | undefined): Stage[] {
  if (chosen) return [...new Set(chosen)];
  const most = Math.max(...rows.map(({ stages }) => stages.length));
  return Array.from({ length: most }, (_, k) => rows.flatMap(({ stages }) => stages.slice(k, k + 1))).flat();
}

function fail(message: string): void {
  console.error(`repro: ${message}`);
  process.exitCode = 1;
}
