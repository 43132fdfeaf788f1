/** Curves and pictures of a run, as TensorBoard, MLflow and files have them. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { train, VisBackend, VISBACKENDS, type TrainOptions } from '../../src/index.js';
import { crc32c, maskedCrc32c } from '../../src/loggers/tensorboard/crc32c.js';
import { imageEvent, scalarsEvent, stepOf, textEvent, versionEvent } from '../../src/loggers/tensorboard/event.js';
import { record, records } from '../../src/loggers/tensorboard/records.js';
import { mlflowServer } from '../fixtures/loggers/mlflow-server.js';
import { Project, SMALL_CONFIG } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

void t.test('event files have the bytes that the protobuf classes of tensorboard 2.21 write', async (t) => {
  t.equal(crc32c(Buffer.from('123456789')), 0xe3069283, 'RFC 3720');
  t.equal(crc32c(new Uint8Array(32)), 0x8a9136aa, 'RFC 3720, B.4: 32 zeros');
  t.equal(maskedCrc32c(Buffer.from('123456789')), 0xc78ab0e5);
  t.equal(hex(versionEvent(1)), '09000000000000f03f1a0d627261696e2e4576656e743a32');
  t.equal(hex(scalarsEvent({ loss: 0.5 }, 3, 1)), '09000000000000f03f10032a0d0a0b0a046c6f7373150000003f');
  const png = Uint8Array.of(1, 2);
  t.equal(
    hex(imageEvent('p', { width: 5, height: 4, png }, 3, 1)),
    '09000000000000f03f10032a110a0f0a0170220a08041005180322020102',
  );
  t.equal(
    hex(textEvent('c', 'hi', 0, 1)),
    '09000000000000f03f2a1d0a1b0a0163420c0807120412020801420268694a080a060a0474657874',
  );
  const file = Buffer.concat([record(versionEvent(1)), record(scalarsEvent({ loss: 0.5 }, 300, 1))]);
  t.strictSame(
    [...records(file)].map(({ data }) => stepOf(data)),
    [0, 300],
  );
  t.equal([...records(file.subarray(0, -1))].length, 1, 'a torn end is left out');
});

void t.test('a resumed run goes on with its curves, and no point is there twice', async (t) => {
  const server = await mlflowServer();
  t.teardown(() => server.close());
  process.env['MLFLOW_TRACKING_TOKEN'] = 'hush';
  t.teardown(() => delete process.env['MLFLOW_TRACKING_TOKEN']);
  const project = Project.create(t, { 'my.yaml': SMALL_CONFIG }),
    workDir = project.file('run');
  const options: TrainOptions = {
    workDir,
    options: {
      'train_cfg.max_iters': 4,
      'default_hooks.checkpoint.interval': 2,
      'custom_hooks.preview': {
        type: 'VisualizationHook',
        prompt: 'a dog',
        height: 64,
        width: 64,
        num_inference_steps: 1,
        interval: 2,
      },
      visualizer: {
        type: 'Visualizer',
        vis_backends: [
          { type: 'LocalVisBackend' },
          { type: 'TensorboardVisBackend' },
          { type: 'MLflowVisBackend', tracking_uri: server.address, exp_name: 'toy dogs', tags: { who: 'test' } },
        ],
      },
    },
  };
  await train(project.file('my.yaml'), options);
  const first = curves(workDir);
  t.strictSame(
    first['train/loss'].map(([step]) => step),
    [0, 1, 2, 3],
  );
  // As a crash after the third iteration leaves it.
  rmSync(join(workDir, 'step3'), { recursive: true });
  writeFileSync(join(workDir, 'last_checkpoint'), 'step1\n');
  await train(project.file('my.yaml'), { ...options, resume: true });

  const losses = readFileSync(join(workDir, 'log.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => Math.fround((JSON.parse(line) as { loss: number }).loss));
  const second = curves(workDir);
  t.strictSame(
    second['train/loss'],
    losses.map((loss, step) => [step, loss]),
  );
  t.strictSame(second['train/loss_smooth'], first['train/loss_smooth'], 'the mean goes on, too');
  for (const name of ['train/lr', 'train/grad_norm', 'time/iter_s', 'memory/rss_gib'])
    t.strictSame(
      second[name].map(([step]) => step),
      [0, 1, 2, 3],
      name,
    );
  t.strictSame(
    second['phase/steps'].map(([step]) => step),
    [1, 3],
    'time by phase, at a checkpoint and at the end',
  );
  t.equal(eventFiles(workDir).length, 2, 'each process writes a file');

  const local = readFileSync(join(workDir, 'vis_data/scalars.json'), 'utf8').trim().split('\n');
  t.strictSame(
    local
      .map((line) => JSON.parse(line) as Record<string, number>)
      .filter((line) => 'train/loss' in line)
      .map((line) => [line['step'], Math.fround(line['train/loss'])]),
    second['train/loss'],
  );
  t.strictSame(readdirSync(join(workDir, 'vis_data/vis_image')).sort(), [
    'preview_0_0.png',
    'preview_0_1.png',
    'preview_0_3.png',
  ]);
  t.match(readFileSync(join(workDir, 'vis_data/config.yaml'), 'utf8'), /max_iters: 4/);

  t.strictSame(server.complaints, []);
  t.strictSame([server.experiment, server.runName, server.runs], ['toy dogs', 'run', 1]);
  t.strictSame(server.statuses, ['FINISHED', 'RUNNING', 'FINISHED']);
  const sent = server.metrics.filter(({ key }) => key === 'train/loss');
  t.strictSame(
    sent.map(({ step, value }) => [step, Math.fround(value)]),
    second['train/loss'],
  );
  t.ok([...server.artifacts.keys()].includes('7/r1/artifacts/preview_0_3.png'));
  t.strictSame([...server.authorization], ['Bearer hush']);
  const files = readdirSync(workDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const { parentPath, name } of files)
    t.notOk(readFileSync(join(parentPath, name)).includes('hush'), `${name} does not hold the token`);
});

void t.test('a tracker that is not there stops the run before it begins; one that goes away does not', async (t) => {
  const project = Project.create(t, { 'my.yaml': SMALL_CONFIG }),
    options = (visualizer: object): TrainOptions => ({ workDir: project.file('out'), options: { visualizer } });
  const mlflow = (tracking_uri: string): object => ({ vis_backends: [{ type: 'MLflowVisBackend', tracking_uri }] });
  await t.rejects(train(project.file('my.yaml'), options(mlflow('127.0.0.1:5000'))), {
    message: /^MLflowVisBackend\.tracking_uri: "127\.0\.0\.1:5000" is no http address; give/,
  });
  await t.rejects(train(project.file('my.yaml'), options(mlflow('http://127.0.0.1:9'))), {
    message: /^http:\/\/127\.0\.0\.1:9: the MLflow server cannot be reached/,
  });
  await t.rejects(train(project.file('my.yaml'), options({ vis_backends: [{ type: 'TensorBoardVisBackend' }] })), {
    message:
      /visualizer\.vis_backends\.0\.type: unknown visualisation backend "TensorBoardVisBackend"; did you mean "TensorboardVisBackend"\?/,
  });
  t.notOk(existsSync(project.file('out/step1')));
  t.strictSame(VISBACKENDS.names(), ['LocalVisBackend', 'MLflowVisBackend', 'TensorboardVisBackend']);
  const lines: string[] = [],
    log = { info: () => {}, debug: () => {}, warn: (line: string) => void lines.push(line) };
  VISBACKENDS.register()(Leaving);
  const { checkpoint } = await train(project.file('my.yaml'), {
    ...options({ vis_backends: [{ type: 'Leaving' }] }),
    log,
  });
  t.match(checkpoint, /step1$/);
  t.match(lines, [/^Leaving: gone; it gets nothing more of this run$/]);
});

class Leaving extends VisBackend {
  static readonly options = {
    description: 'Goes away.',
    type: 'object',
    additionalProperties: false,
    properties: {},
  } as const;
  async open(): Promise<void> {}
  addScalars(): Promise<void> {
    return Promise.reject(new Error('gone'));
  }
  async addImage(): Promise<void> {}
  async addText(): Promise<void> {}
}

const eventFiles = (workDir: string): string[] =>
  readdirSync(join(workDir, 'vis_data'))
    .filter((name) => name.startsWith('events.out.tfevents.'))
    .map((name) => join(workDir, 'vis_data', name));

/** [step, value] of every curve in the event files, read by field numbers of event.proto. */
function curves(workDir: string): Record<string, [number, number][]> {
  const found: Record<string, [number, number][]> = {};
  for (const file of eventFiles(workDir).sort())
    for (const { data } of records(readFileSync(file))) {
      const { 2: [step] = [0], 5: [summary] = [] } = fields(data);
      for (const value of summary === undefined ? [] : (fields(summary as Uint8Array)[1] ?? [])) {
        const {
          1: [tag],
          2: [number] = [],
        } = fields(value as Uint8Array);
        if (number !== undefined)
          (found[Buffer.from(tag as Uint8Array).toString()] ??= []).push([Number(step), number as number]);
      }
    }
  return found;
}

/** A protobuf message by field number: varints, doubles, floats, bytes. */
function fields(bytes: Uint8Array): Record<number, (number | Uint8Array)[]> {
  const found: Record<number, (number | Uint8Array)[]> = {},
    view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = (): number => {
    for (let value = 0, scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint(),
      list = (found[key >> 3] ??= []);
    if ((key & 7) === 0) list.push(varint());
    else if ((key & 7) === 1) list.push(view.getFloat64((at += 8) - 8, true));
    else if ((key & 7) === 5) list.push(view.getFloat32((at += 4) - 4, true));
    else {
      const length = varint();
      list.push(bytes.subarray(at, (at += length)));
    }
  }
  return found;
}
