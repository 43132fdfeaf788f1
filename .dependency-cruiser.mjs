// Who may import whom. A file imports from its own room or from a floor below, never upward, and never in a circle.
// `npm run lint` holds the tree to this table; CONTRIBUTING.md says what each room is for.

/** Rooms of src/, from the top floor down. */
export const FLOORS = [
  'index.ts', // the public library
  'browser', // the public library for browsers: nothing of Node
  'library', // what programs call: train, loadPipeline, evaluate, plan, adapters
  'components.ts', // finds every component
  'hooks', // one hook, one file
  'loggers', // where a run's lines go
  'runs', // what a run has left in its work dir, read for those who look
  'evaluation', // measuring pictures; metrics/
  'checking', // what a device computes, against the reference
  'planning', // what a run would cost
  'engine', // the run
  'models', // components that train
  'sampling', // what draws and encodes; schedulers/
  'adapters', // one kind of adapter, one file
  'formats', // files: weights, pipelines, hub, tokenizers
  'networks', // pure functions of scope, tensors, config
  'datasets', // pictures and texts; transforms/, image/
  'backends', // what computes
  'tensor', // graphs, gradients, passes
  'registry', // config to instances
  'collectives', // several processes as one: MPI
  'base', // what everyone may use
];

const room = (name) => `^src/${name.replace('.', '\\.')}${name.endsWith('.ts') ? '$' : '/'}`;

export default {
  forbidden: [
    {
      name: 'no-circles',
      comment:
        'Two files that need each other are one idea in two places, or share a third that should stand below both.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    ...FLOORS.map((name, floor) => ({
      name: `not-up-from-${name.replace('.ts', '')}`,
      comment: 'Data flows one way. Move what both need to the lower floor, or hand it in as an argument.',
      severity: 'error',
      from: { path: room(name) },
      to: { path: FLOORS.slice(0, floor).map(room) },
    })).filter(({ to }) => to.path.length > 0),
    {
      name: 'src-stands-alone',
      comment: 'The library does not know its command line, benchmarks, configs or tests.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(tools|bench|configs|test|scripts)/' },
    },
    {
      name: 'page-knows-words-only',
      comment: 'The page runs in a browser: it shares types with the library and its server, nothing that computes.',
      severity: 'error',
      from: { path: '^ui/' },
      to: {
        path: '^(src|tools|bench|configs|test|scripts)/',
        pathNot: '^(src/runs/(run-view|report-data)|tools/ui/protocol)\\.ts$',
      },
    },
    {
      name: 'report-knows-no-server',
      comment: 'A report has no server. What it shares with the page is in ui/parts.',
      severity: 'error',
      from: { path: '^ui/(parts|report)' },
      to: { path: '^(ui/page|tools)/' },
    },
    {
      name: 'every-file-in-a-room',
      comment: 'A new room of src/ has a floor in this table.',
      severity: 'error',
      from: { path: '^(src|tools|bench|test)/' },
      to: { path: '^src/', pathNot: FLOORS.map(room) },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true, // types count
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.mjs', '.json'] },
  },
};
