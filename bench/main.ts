/** npm run bench: how fast and how large, measured against PyTorch where it is. See docs/performance.md. */
import { writeFileAtomic } from '../src/base/atomic-file.js';
import { loadComponents } from '../src/components.js';
import { UserError } from '../src/base/errors.js';
import { refuseBusy } from './busy.js';
import type { ChildOptions } from './child.js';
import { benchGrowth, growthColumns, growthNotes, type GrowthRow } from './growth.js';
import { benchJob, jobNotes, jobTable, type JobRow } from './job.js';
import { foreignNow } from './machine.js';
import { parseOptions, type BenchOptions } from './options.js';
import { benchRanks, ranksColumns, type RanksRow } from './ranks.js';
import { Results } from './results.js';
import { benchSoak, soakColumns, type SoakRow } from './soak.js';
import { benchStartup, startupColumns, type StartupRow } from './startup.js';
import { benchSteps, findPeer, stepColumns, stepNotes } from './steps.js';
import { type StepRow } from './step-row.js';
import { markdownTable, textTable, type Column } from './table.js';

interface Printed {
  readonly text: string;
  readonly markdown: string;
  readonly notes: string;
}

/** One kind of measurement: makes rows until it is done, and shows those that there are. */
interface Kind {
  readonly path: string;
  readonly rows: number;
  run(child: ChildOptions): Promise<void>;
  print(): Printed;
}

function kind<Row>(
  name: string,
  o: BenchOptions,
  argv: readonly string[],
  work: (results: Results<Row>, child: ChildOptions, show: (row: Row) => void) => Promise<void>,
  print: (rows: readonly Row[]) => Printed,
): Kind {
  const results = new Results<Row>(o.out, name, argv);
  const show = (row: Row): void => void process.stderr.write(`${line(row)}\n`);
  return {
    path: results.path,
    get rows() {
      return results.rows.length;
    },
    run: (child) => work(results, child, show),
    print: () => print(results.rows),
  };
}

/** A row in a few words, while others are being measured. */
const line = (row: unknown): string =>
  Object.entries(row as object)
    .filter(([, value]) => typeof value !== 'object')
    .map(([key, value]) => `${key} ${typeof value === 'number' ? Number(value.toPrecision(3)) : value}`)
    .join('  ');

const printer =
  <Row>(columns: readonly Column<Row>[], notes: (rows: readonly Row[]) => string = () => '') =>
  (rows: readonly Row[]): Printed => ({
    text: textTable(columns, rows),
    markdown: markdownTable(columns, rows),
    notes: notes(rows),
  });

function chosen(o: BenchOptions, argv: readonly string[]): Kind {
  if (o.job !== undefined) {
    const config = o.job === true ? 'toyland_sd_dreambooth_lora_dog' : o.job;
    return kind<JobRow>(
      'job',
      o,
      argv,
      (results, child, show) => benchJob(config, o.set, results, child, show),
      (rows) => {
        const { columns, lines } = jobTable(rows);
        return { text: textTable(columns, lines), markdown: markdownTable(columns, lines), notes: jobNotes(rows) };
      },
    );
  }
  if (o.growth)
    return kind<GrowthRow>(
      'growth',
      o,
      argv,
      (results, child, show) => benchGrowth(o, results, child, show),
      printer(growthColumns, growthNotes),
    );
  if (o.soak !== undefined)
    return kind<SoakRow>(
      'soak',
      o,
      argv,
      (results, child, show) => benchSoak(o.soak ?? 0, results, child, show),
      printer(soakColumns),
    );
  if (o.ranks !== undefined)
    return kind<RanksRow>(
      'ranks',
      o,
      argv,
      (results, child, show) => benchRanks(o.ranks ?? 2, o, results, child, show),
      printer(ranksColumns),
    );
  if (o.startup)
    return kind<StartupRow>(
      'startup',
      o,
      argv,
      (results, child, show) => benchStartup(o.reps, results, child, show),
      printer(startupColumns),
    );
  return kind<StepRow>(
    'steps',
    o,
    argv,
    async (results, child, show) => {
      const peer = await findPeer({ script: o.peer, python: o.python }, child);
      await benchSteps({ ...o, peer }, results, child, show);
    },
    printer(stepColumns, stepNotes),
  );
}

async function main(argv: readonly string[]): Promise<void> {
  const o = parseOptions(argv),
    interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort(new Error('stopped')));
  process.once('SIGTERM', () => interrupt.abort(new Error('stopped')));
  const warning = refuseBusy(await foreignNow(), o.force ?? false);
  if (warning !== undefined) process.stderr.write(`warning: ${warning}\n`);
  await loadComponents();
  const work = chosen(o, argv);
  try {
    await work.run({ signal: interrupt.signal });
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    process.exitCode = 130;
  } finally {
    if (work.rows > 0) await print(work, o.markdown);
  }
}

async function print(work: Kind, file: string | undefined): Promise<void> {
  const { text, markdown, notes } = work.print(),
    parts = (...all: string[]): string => `${all.filter((part) => part !== '').join('\n\n')}\n`;
  process.stdout.write(parts(text, notes, work.path));
  if (file !== undefined) await writeFileAtomic(file, parts(markdown, notes));
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof UserError ? error.message : String((error as Error).stack)}\n`);
  process.exitCode = 1;
}
