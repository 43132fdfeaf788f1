import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { placeOf } from '../../src/collectives/launchers.js';
import { cli, mpirun, mpirunOf, skipWithout, train, type Ended } from '../fixtures/collectives/mpi.js';

const openMpi = mpirunOf('Open MPI'),
  mpich = mpirunOf('MPICH');
t.setTimeout(300_000); // each run starts Node several times
const file = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

void t.test('placeOf: the variables of mpirun and srun say which rank this is', (t) => {
  const openMpi = { OMPI_COMM_WORLD_SIZE: '4', OMPI_COMM_WORLD_RANK: '3', OMPI_COMM_WORLD_LOCAL_RANK: '1' };
  t.match(placeOf('mpi', openMpi), { size: 4, rank: 3, localRank: 1, family: 'Open MPI' });
  t.match(placeOf('pytorch', openMpi), { size: 4, rank: 3 }, 'the word of the Python configs means MPI');
  t.equal(placeOf('none', openMpi), undefined);
  t.match(placeOf('mpi', { PMI_SIZE: '2', PMI_RANK: '0' }), {
    size: 2,
    rank: 0,
    localRank: undefined,
    family: 'MPICH',
  });
  const slurm = { SLURM_NTASKS: '8', SLURM_PROCID: '5', SLURM_LOCALID: '1' };
  t.match(placeOf('slurm', slurm), { size: 8, rank: 5, localRank: 1, family: undefined });
  t.equal(placeOf('mpi', slurm), undefined, 'an allocation alone starts nothing');
  t.match(placeOf('slurm', { ...slurm, PMI_SIZE: '8', PMI_RANK: '5' }), { size: 8, rank: 5, family: 'MPICH' });
  t.equal(placeOf('mpi', {}), undefined);
  t.end();
});

for (const [family, mpi, n] of [
  ['Open MPI', openMpi, 3],
  ['MPICH', mpich, 2],
] as const)
  void t.test(
    `${family}: ${n} ranks sum in rank order, gather, stop and fail together`,
    { skip: skipWithout(mpi, family) },
    (t) => {
      const { code, out, err } = mpirun(mpi!, process.cwd(), [[n, [file('../fixtures/collectives/exercise.js')]]]);
      t.equal(code, 0, err);
      const all = <T>(make: (rank: number) => T): T[] => Array.from({ length: n }, (_, r) => make(r));
      t.match(JSON.parse(out), {
        size: n,
        local: [0, n],
        wrongEverywhere: [],
        short: all((r) => Array.from({ length: r }, () => r)),
        long: all((r) => [3 * r, r + 1, r + 1]),
        told: [9, 9],
        max: (n - 1) * 1.5,
        mean: { loss: (n - 1) / 2 },
        first: 'from 0',
        firstWasFirst: true,
        stopped: all(() => [false, true, 'SIGUSR1']),
        failures: all(() => 'all well'),
        ended: { message: `rank ${n - 1} on host: no more`, isTold: false },
        alone: { loss: 3 },
      });
      t.end();
    },
  );

/** A config of the linear model; every line of `hooks` is a hook. */
const linear = (hooks = ''): string => `
custom_imports: ['${file('../fixtures/engine/linear.js')}', '${file('../fixtures/collectives/fault-hook.js')}']
model: { type: LinearModel }
train_dataloader: { batch_size: 3, dataset: { type: NoisePictures } }
optim_wrapper: { optimizer: { type: AdamW, lr: 0.05 }, clip_grad: { max_norm: 1 } }
train_cfg: { max_iters: 8 }
default_hooks: { checkpoint: { type: CheckpointHook, interval: 2 } }
custom_hooks:
  peft: { type: PeftSaveHook }
  ema: { type: EMAHook, momentum: 0.1 }
  ${hooks}
`;
const same = (t: Test, a: string, b: string, what: string): boolean =>
  t.ok(readFileSync(a).equals(readFileSync(b)), what);
const ok = (t: Test, { code, err }: Ended): boolean => t.equal(code, 0, err);

void t.test('ranks on Open MPI', { skip: skipWithout(openMpi, 'Open MPI') }, async (t) => {
  const folder = (t: Test, hooks?: string): string => t.testdir({ 'run.yaml': linear(hooks) });
  const ranks = (cwd: string, n: number, ...args: string[]): Ended =>
    train(openMpi, cwd, 'run.yaml', '--gpus', String(n), '--launcher', 'mpi', ...args);
  const alone = (cwd: string, ...args: string[]): Ended => train(undefined, cwd, 'run.yaml', ...args);

  await t.test('three ranks, and two that accumulate with a loss scale, equal one process bit for bit', async (t) => {
    const cwd = folder(t);
    const three = ranks(cwd, 3, '--work-dir', 'three', '--cfg-options', 'train_cfg.max_iters=4');
    ok(t, three);
    const says =
      /ranks +3 on Open MPI v[\d.]+\S*, a batch each; one process with (optim_wrapper\.accumulative_counts=3 train_cfg\.max_iters=12 backend\.type=OnnxRuntimeBackend backend\.intra_op_num_threads=\d+) gives the same/;
    t.match(three.out, says);
    const options = says.exec(three.out)?.[1].split(' ') ?? [];
    ok(t, alone(cwd, '--work-dir', 'one', '--cfg-options', ...options));
    same(t, `${cwd}/three/step3/training_state.safetensors`, `${cwd}/one/step11/training_state.safetensors`, 'states');
    same(t, `${cwd}/three/step3/linear/model.safetensors`, `${cwd}/one/step11/linear/model.safetensors`, 'result');

    const amp = [
      'optim_wrapper.type=AmpOptimWrapper',
      'backend.type=OnnxRuntimeBackend',
      'backend.intra_op_num_threads=1',
    ];
    ok(
      t,
      ranks(
        cwd,
        2,
        '--work-dir',
        'amp2',
        '--cfg-options',
        ...amp,
        'train_cfg.max_iters=5',
        'optim_wrapper.accumulative_counts=2',
      ),
    );
    ok(
      t,
      alone(
        cwd,
        '--work-dir',
        'amp1',
        '--cfg-options',
        ...amp,
        'train_cfg.max_iters=10',
        'optim_wrapper.accumulative_counts=4',
      ),
    );
    same(
      t,
      `${cwd}/amp2/step4/training_state.safetensors`,
      `${cwd}/amp1/step9/training_state.safetensors`,
      'with a loss scale',
    );
  });

  await t.test('a rank that is killed ends all; the last checkpoint resumes bit for bit', async (t) => {
    const cwd = folder(t, 'fault: { type: FaultHook, at: 4, rank: 1, kind: kill }');
    const killed = ranks(cwd, 2, '--work-dir', 'killed');
    t.not(killed.code, 0);
    t.ok(killed.seconds < 20, `ended after ${killed.seconds} s`);
    t.match(
      killed.err,
      /^diffengine: rank 1 on \S+ was ended by signal 9 \(Killed\), and the others were ended with it\. The last checkpoint holds; add --resume/,
    );
    t.equal(killed.err.trim().split('\n').length, 1, 'one message');
    const resumed = ranks(cwd, 2, '--work-dir', 'killed', '--resume', '--cfg-options', 'custom_hooks.fault=null');
    ok(t, resumed);
    t.match(resumed.out, /resumed from .*step3, next iteration 4/);
    ok(t, ranks(cwd, 2, '--work-dir', 'whole', '--cfg-options', 'custom_hooks.fault=null'));
    for (const name of ['training_state.safetensors', 'linear/model.safetensors'])
      same(t, `${cwd}/killed/step7/${name}`, `${cwd}/whole/step7/${name}`, name);

    const other = ranks(
      cwd,
      3,
      '--work-dir',
      'whole',
      '--resume',
      '--cfg-options',
      'custom_hooks.fault=null',
      'train_cfg.max_iters=10',
    );
    ok(t, other);
    t.match(other.err, /will not equal an uninterrupted one:\n {2}number of ranks \(--gpus\): 2 -> 3/);
  });

  await t.test('an error of one rank is told once, by name, and what was learnt is saved', async (t) => {
    const cwd = folder(t, 'fault: { type: FaultHook, at: 4, rank: 1, kind: throw }');
    const { code, out, err, seconds } = ranks(cwd, 2, '--work-dir', 'w');
    t.equal(code, 1);
    t.match(err, /^diffengine: rank 1 on \S+: the disk of this rank is full\n$/);
    t.match(out, /an error ends the run after iteration 4; saved .*step4/);
    t.ok(seconds < 20, `ended after ${seconds} s`);
  });

  await t.test('what one rank hears or decides stops all after the same iteration', async (t) => {
    const cwd = folder(t, 'fault: { type: FaultHook, at: 4, rank: 1, kind: stop }');
    const stopped = ranks(cwd, 2, '--work-dir', 'stopped');
    ok(t, stopped);
    t.match(readFileSync(`${cwd}/stopped/last_checkpoint`, 'utf8'), 'step4');
    const term = mpirun(openMpi!, cwd, [
      [
        2,
        cli(
          'train',
          'run.yaml',
          '--launcher',
          'mpi',
          '--work-dir',
          'term',
          '--cfg-options',
          'custom_hooks.fault.kind=SIGTERM',
        ),
      ],
    ]);
    t.equal(term.code, 143, 'as shells report SIGTERM');
    t.match(term.out, /stopped after iteration [4-6], [1-3] left; saved .*step[4-6]\. Add --resume/);
  });

  await t.test('ranks of another config or MPI are refused, and told so by name', async (t) => {
    const cwd = folder(t);
    const command = cli('train', 'run.yaml', '--launcher', 'mpi', '--work-dir', 'w');
    const differ = mpirun(openMpi!, cwd, [
      [1, command],
      [1, [...command, '--cfg-options', 'optim_wrapper.optimizer.lr=0.1']],
    ]);
    t.equal(differ.code, 1);
    t.match(
      differ.err,
      /diffengine: rank 1 on \S+ has another config than rank 0 on \S+:\n {2}optim_wrapper\.optimizer\.lr: 0\.05 -> 0\.1\n/,
    );
    if (mpich) {
      const wrong = mpirun(openMpi!, cwd, [[2, command]], { DIFFENGINE_MPI_LIB: 'libmpich.so.12' });
      t.equal(wrong.code, 1);
      t.match(
        wrong.err,
        /OMPI_COMM_WORLD_SIZE=2 processes were started, but MPICH.* sees 1: it is not the MPI that started them \(Open MPI\)/,
      );
    }
  });
});

void t.test('train: without MPI, or with options that do not fit, says what to do', (t) => {
  const cwd = t.testdir({ 'run.yaml': linear() });
  const refused = (env: string | undefined, args: readonly string[], message: RegExp): void => {
    const mpi = env === undefined ? undefined : { command: env, flags: [] };
    const { code, err } = train(mpi, cwd, 'run.yaml', ...args);
    t.equal(code, 1);
    t.match(err, message);
  };
  refused(undefined, ['--gpus', '2'], /--gpus 2: nothing starts 2 ranks; add --launcher mpi/);
  refused(
    '/no/mpirun',
    ['--gpus', '2', '--launcher', 'mpi'],
    /\/no\/mpirun does not start \(ENOENT\); install Open MPI \(Debian and Ubuntu: apt-get install openmpi-bin/,
  );
  refused(undefined, ['--gpus', '2', '--launcher', 'slurm'], /srun starts the ranks; write srun --ntasks=2/);
  t.end();
});
