/** The command line of `npm run bench`. */
import { Command, Option } from 'commander';
import { UserError } from '../src/base/errors.js';
import { LAYOUTS } from '../src/models/random-model.js';
import { MODES, type Mode } from './cases.js';

export interface BenchOptions {
  readonly layouts: readonly string[];
  readonly sizes: readonly number[];
  readonly batches: readonly number[];
  readonly modes: readonly Mode[];
  readonly reps: number;
  readonly pairs: number;
  readonly seconds: number;
  readonly quick?: boolean;
  readonly job?: string | true;
  readonly set: readonly string[];
  readonly growth?: boolean;
  readonly soak?: number;
  readonly startup?: boolean;
  readonly ranks?: number;
  readonly peer: string;
  readonly python: string;
  readonly force?: boolean;
  readonly out: string;
  readonly markdown?: string;
}

const list = (text: string): string[] =>
  text
    .split(',')
    .map((s) => s.trim())
    .filter((s) => s !== '');

function whole(name: string): (text: string) => number {
  return (text) => {
    if (!/^[1-9]\d*$/.test(text)) throw new UserError(`${name}: expected a whole number of at least 1, got "${text}"`);
    return Number(text);
  };
}

const wholes =
  (name: string) =>
  (text: string): number[] =>
    list(text).map(whole(name));

function known<T extends string>(name: string, all: readonly T[]): (text: string) => T[] {
  return (text) =>
    list(text).map((one) => {
      if (!all.includes(one as T)) throw new UserError(`${name}: unknown "${one}"; known: ${all.join(', ')}`);
      return one as T;
    });
}

function sizes(text: string): number[] {
  const all = wholes('--sizes')(text),
    odd = all.find((size) => size % 64 !== 0);
  if (odd !== undefined) throw new UserError(`--sizes: ${odd} is not a multiple of 64`);
  return all;
}

export function parseOptions(argv: readonly string[]): BenchOptions {
  const program = new Command('npm run bench --')
    .description(
      'Time and memory of training and sampling steps, in turn with PyTorch where it is there; and of whole jobs.',
    )
    .option(
      '--layouts <names>',
      'random weights of these layouts: sd15, small, bk_small, tiny, toyland, ...',
      known('--layouts', Object.keys(LAYOUTS)),
      ['small', 'tiny', 'sd15'],
    )
    .option('--sizes <pixels>', 'sides of the pictures', sizes, [256, 512])
    .option('--batches <n>', 'samples per training step', wholes('--batches'), [1, 4])
    .option('--modes <names>', `of ${MODES.join(', ')}; full at 256 px only`, known('--modes', MODES), [...MODES])
    .option(
      '--reps <n>',
      'steps per process; the first is not counted, short ones are repeated more often',
      whole('--reps'),
      4,
    )
    .option('--pairs <n>', 'how often each side runs, in turn', whole('--pairs'), 2)
    .option('--seconds <n>', 'no further step in a process after this long, but two at least', whole('--seconds'), 60)
    .option('--quick', 'small at 256 px, batch 1, one pair: under five minutes')
    .option(
      '--job [config]',
      'a whole DreamBooth job by phase, with caches and without (default: toyland_sd_dreambooth_lora_dog)',
    )
    .option('--set <key=value...>', 'options of the config of --job', [])
    .option(
      '--growth',
      'time with the batch, memory of attention with the pixels; of toyland and small, or of --layouts',
    )
    .addOption(
      new Option('--soak [steps]', 'toyland steps in one run: is memory flat?')
        .argParser(whole('--soak'))
        .preset('10000'),
    )
    .addOption(
      new Option('--ranks [n]', 'MPI ranks that share the cores, against one process with all of them (default: 2)')
        .argParser(whole('--ranks'))
        .preset('2'),
    )
    .option('--startup', 'from the command to help and to the first training step')
    .option(
      '--peer <script>',
      'the opponent: called with LAYOUT LATENT MODE, prints one line of JSON',
      '../shared/peer/torch_step.py',
    )
    .option('--python <command>', 'a Python with PyTorch', 'python3')
    .option('--force', 'measure on a busy machine too; such rows are marked')
    .option('--out <folder>', 'where the JSON file goes', 'bench/results')
    .option('--markdown <file>', 'also write the table there')
    .addHelpText(
      'after',
      `
Examples:
  npm run bench -- --quick
  npm run bench -- --python /tmp/venv/bin/python --layouts small --sizes 512 --batches 1 --modes lora,sample
  npm run bench -- --job --set train_cfg.max_iters=100
  npm run bench -- --growth --layouts toyland
  npm run bench -- --soak 10000
  npm run bench -- --ranks 2 --layouts small --sizes 512
  npm run bench -- --startup --markdown startup.md

Results are written after every row: Ctrl-C keeps those that are done.
Times mean something on a machine that does nothing else: a run is refused while other processes compute.`,
    );
  program.parse([...argv], { from: 'user' });
  const given = program.opts<Omit<BenchOptions, 'set' | 'reps'> & { set: string[]; reps: number }>(),
    kinds = ['job', 'growth', 'soak', 'startup', 'ranks'].filter((name) => name in given);
  if (kinds.length > 1) throw new UserError(`--${kinds[0]}, --${kinds[1]}: one at a time`);
  const chosen = (name: string): boolean => program.getOptionValueSource(name) !== 'default';
  const quick = given.quick
    ? {
        layouts: ['small'],
        sizes: [256],
        batches: [1],
        pairs: 1,
        reps: 3,
        modes: MODES.filter((mode) => mode !== 'full'),
      }
    : {};
  const small = given.growth && !chosen('layouts') ? { layouts: ['toyland', 'small'] } : {};
  return { ...given, ...quick, ...small };
}
