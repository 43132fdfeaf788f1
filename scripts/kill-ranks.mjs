// Kills ranks of a training at random instants and sees what becomes of it: all must end within 10 s with one message
// that names the rank, and the run must resume bit for bit. After "npx tsc -p tsconfig.json":
//   node scripts/kill-ranks.mjs [kills, default 30] [ranks, default 3] [seed, default 0]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const [kills, ranks, seed] = [30, 3, 0].map((value, i) => Number(process.argv[2 + i] ?? value));
const CLI = resolve('dist/tools/cli.js'),
  MODEL = resolve('dist/test/fixtures/engine/linear.js');
const LIMIT_MS = 10_000;

const folder = mkdtempSync(join(tmpdir(), 'kill-ranks-'));
writeFileSync(
  join(folder, 'run.yaml'),
  `custom_imports: ['${MODEL}']
model: { type: LinearModel, wait_ms: 20 }
train_dataloader: { batch_size: 3, dataset: { type: NoisePictures } }
optim_wrapper: { optimizer: { type: AdamW, lr: 0.05 }, clip_grad: { max_norm: 1 } }
train_cfg: { max_iters: 300 }
default_hooks: { checkpoint: { type: CheckpointHook, interval: 3, max_keep_ckpts: 2 } }
custom_hooks: { peft: { type: PeftSaveHook }, ema: { type: EMAHook } }
`,
);

// mulberry32, so that a failure can be repeated
let state = seed;
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

function start(work, ...args) {
  const options = ['train', 'run.yaml', '--gpus', String(ranks), '--launcher', 'mpi', '--work-dir', work];
  const child = spawn(process.execPath, [CLI, ...options, ...args], {
    cwd: folder,
    env: { ...process.env, KILL_RANKS: work },
  });
  const run = { child, out: '', err: '', began: performance.now(), done: once(child, 'close') };
  child.stdout.on('data', (data) => (run.out += data));
  child.stderr.on('data', (data) => (run.err += data));
  return run;
}

/** Process of a rank of a run; undefined before it is there. */
function pidOf(rank, work) {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const env = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
      if (
        env.includes(`KILL_RANKS=${work}`) &&
        (env.includes(`OMPI_COMM_WORLD_RANK=${rank}`) || env.includes(`PMI_RANK=${rank}`))
      )
        return Number(pid);
    } catch {
      // ended meanwhile, or is somebody else's
    }
  }
  return undefined;
}

const result = (work) => {
  const last = join(folder, work, readFileSync(join(folder, work, 'last_checkpoint'), 'utf8').trim());
  return ['training_state.safetensors', 'linear/model.safetensors']
    .map((name) => readFileSync(join(last, name), 'latin1'))
    .join();
};

const whole = start('whole');
const [code] = await whole.done;
if (code !== 0) throw new Error(`the run itself fails: ${whole.err}`);
const seconds = (performance.now() - whole.began) / 1000,
  expected = result('whole');
console.log(`a run of ${ranks} ranks takes ${seconds.toFixed(1)} s`);

const times = [],
  wrong = [],
  perRank = Array.from({ length: ranks }, () => 0);
let early = 0,
  late = 0;
for (let k = 0; k < kills; k++) {
  const work = `run${k}`,
    rank = k % ranks,
    after = random() * seconds * 1000;
  const run = start(work);
  await new Promise((wait) => setTimeout(wait, after));
  let pid;
  while ((pid = pidOf(rank, work)) === undefined && run.child.exitCode === null)
    await new Promise((wait) => setTimeout(wait, 20));
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
  const killed = performance.now();
  const [code] = await run.done;
  const took = performance.now() - killed;
  const has = /resumed from \S+step(\d+)/;
  if (pid === undefined || code === 0)
    late++; // it was done already
  else {
    times.push(took);
    perRank[rank]++;
    const messages = run.err.split('\n').filter((line) => line !== '');
    if (took > LIMIT_MS) wrong.push(`${k}: ended after ${took} ms`);
    if (messages.length !== 1 || !messages[0].includes(`rank ${rank} on `))
      wrong.push(`${k}: says ${JSON.stringify(run.err)}`);
  }
  const again = start(work, '--resume');
  if ((await again.done)[0] !== 0) wrong.push(`${k}: does not resume: ${again.err}`);
  else if (result(work) !== expected) wrong.push(`${k}: resumed, and another result`);
  if (pid !== undefined && code !== 0 && !has.test(again.out)) early++;
  rmSync(join(folder, work), { recursive: true, force: true });
  console.log(
    `${k + 1}/${kills}: rank ${rank} killed after ${(after / 1000).toFixed(1)} s, all ended after ${(took / 1000).toFixed(1)} s`,
  );
}
times.sort((a, b) => a - b);
const at = (share) => (times[Math.min(times.length - 1, Math.floor(share * times.length))] / 1000).toFixed(1);
console.log(
  `${times.length} kills (by rank ${perRank.join(', ')}; ${early} before the first checkpoint; ${late} came too late): all ranks ended after ${at(0)} s to ${at(1)} s, median ${at(0.5)} s; ${wrong.length} wrong`,
);
for (const line of wrong) console.log(line);
rmSync(folder, { recursive: true, force: true });
process.exitCode = wrong.length > 0 ? 1 : 0;
