/**
 * The thread that owns ONNX Runtime: `session.run` blocks the thread it is called on, so progress bars, Ctrl-C and image
 * decoding stay on the main one. States live here and never travel unless they are read or written.
 */
import { parentPort, workerData } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';
import { zeros, type DType, type HostTensor, type Shape, type TypedArray } from '../../tensor/host.js';
import type { TensorType } from '../../tensor/tensor.js';
import { ownCopy } from '../bytes.js';
import { IDLE_PASSES } from './idle-passes.js';
import { buffersOf, type Place, type Reply, type Request, type Result, type SessionSpec } from './messages.js';

interface Session {
  readonly ort: ort.InferenceSession;
  readonly spec: SessionSpec;
}

const { device, id: deviceId, resident } = workerData as Place;
if (device !== 'cpu') ort.env.logLevel = 'fatal'; // what it says of a missing device is thrown, too
/** Loaded only where states lie on the device. */
const memory = resident ? import('./webgpu-memory.js').then(({ WebgpuMemory }) => new WebgpuMemory()) : undefined;

const sessions = new Map<number, Session>();
const states = new Map<string, ort.Tensor>();
let nextSession = 0;

/** What a request gives: its value, and the tensors in it whose buffers may move. */
interface Answer {
  readonly value?: unknown;
  readonly tensors?: readonly HostTensor[];
}

const toOrt = ({ dtype, data, shape }: HostTensor): ort.Tensor =>
  new ort.Tensor(dtype as ort.Tensor.Type, data as ort.Tensor.DataType, shape);

/** A copy: the runtime's own buffers stay where they are. */
function toHost({ type, dims, data }: ort.Tensor): HostTensor {
  return ownCopy({ dtype: type as DType, shape: dims, data: data as TypedArray });
}

async function compile(spec: SessionSpec): Promise<number> {
  const options: ort.InferenceSession.SessionOptions = {
    executionProviders: [device === 'cuda' ? { name: device, deviceId } : device],
    graphOptimizationLevel: spec.graphOptimizationLevel as 'extended',
    intraOpNumThreads: spec.threads,
    ...(resident
      ? {
          preferredOutputLocation: Object.fromEntries(
            spec.updates.map(({ graphName }) => [graphName, 'gpu-buffer' as const]),
          ),
        }
      : {}),
    executionMode: 'sequential',
    enableMemPattern: false, // makes the first steps slow and holds more memory when on
    enableCpuMemArena: true,
    logSeverityLevel: 4, // errors are thrown; the runtime would print them, too
    // Prepacked weights would be private copies: without them every session reads the same mapped file.
    extra: {
      session: { disable_prepacking: '1' },
      ...(device === 'cpu' ? { optimization: { disable_specified_optimizers: IDLE_PASSES.join(';') } } : {}),
    },
  };
  const id = nextSession++;
  sessions.set(id, { ort: await ort.InferenceSession.create(spec.modelPath, options), spec });
  return id;
}

async function run(id: number, feeds: Readonly<Record<string, HostTensor>>): Promise<Answer> {
  const session = sessions.get(id);
  if (!session) throw new Error('the program was disposed');
  const inputs = Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, toOrt(value)]));
  for (const [input, name] of session.spec.states) inputs[input] = state(name);
  const { updates, outputs } = session.spec,
    wanted = [...outputs, ...updates];
  const results =
    session.spec.withheld !== null
      ? await fill(session, inputs, session.spec.withheld)
      : await session.ort.run(
          inputs,
          wanted.map(({ graphName }) => graphName),
        );
  for (const { graphName, name, shape, inPlace } of updates) {
    if (inPlace) continue;
    states.get(name)?.dispose();
    states.set(name, shaped(results[graphName], shape));
  }
  const fetched = Object.fromEntries(outputs.map(({ graphName, name }) => [name, toHost(results[graphName])]));
  for (const { graphName } of outputs) results[graphName].dispose();
  return { value: fetched, tensors: Object.values(fetched) };
}

/**
 * Runs with all results in memory of ours. The binding copies each result that it returns, and a step of a whole U-Net
 * would copy gigabytes to throw them away: it is given a list of tensors as the first result, which it refuses to hand
 * over once everything is computed. A binding that learns to do so is only slower.
 */
async function fill(
  { ort: session, spec }: Session,
  inputs: Readonly<Record<string, ort.Tensor>>,
  withheld: string,
): Promise<Readonly<Record<string, ort.Tensor>>> {
  const place = ({ dtype, graphShape }: Result): ort.Tensor => toOrt(zeros(dtype, graphShape));
  const places = Object.fromEntries([
    ...spec.outputs.map((output) => [output.graphName, place(output)] as const),
    ...spec.updates.map(
      (update) =>
        [update.graphName, update.inPlace ? shaped(state(update.name), update.graphShape) : place(update)] as const,
    ),
  ]);
  await session.run(inputs, { [withheld]: null, ...places }).catch((error: Error) => {
    if (error.message !== CANNOT_HAND_OVER) throw error;
  });
  return places;
}
const CANNOT_HAND_OVER = 'Non tensor type is temporarily not supported.';

/** The same memory in another shape. */
const shaped = (tensor: ort.Tensor, shape: Shape): ort.Tensor =>
  String(tensor.dims) === String(shape)
    ? tensor
    : toOrt({ dtype: tensor.type as DType, data: tensor.data as TypedArray, shape });

async function read(name: string): Promise<Answer> {
  const held = state(name),
    value = toHost(memory ? await (await memory).download(held) : held);
  return { value, tensors: [value] };
}

function state(name: string): ort.Tensor {
  const found = states.get(name);
  if (!found) throw new Error(`state "${name}" was never written`);
  return found;
}

async function answer(request: Request): Promise<Answer> {
  switch (request.kind) {
    case 'load':
      return {}; // an answer says that the runtime is loaded
    case 'compile':
      return { value: await compile(request.spec) };
    case 'run':
      return run(request.session, request.feeds);
    case 'type': {
      const { type, dims } = state(request.name);
      return { value: { dtype: type as DType, shape: dims } satisfies TensorType };
    }
    case 'read':
      return read(request.name);
    case 'release':
      await sessions.get(request.session)?.ort.release();
      sessions.delete(request.session);
      return {};
    case 'write': {
      const value = toOrt(request.value),
        placed = memory ? await (await memory).upload(value) : value;
      states.get(request.name)?.dispose();
      states.set(request.name, placed);
      return {};
    }
    case 'delete':
      states.get(request.name)?.dispose();
      states.delete(request.name);
      return {};
  }
}

// One after the other, in the order they came: a run sees every state written before it.
let last = Promise.resolve();
parentPort?.on('message', ({ id, request }: { id: number; request: Request }) => {
  last = last.then(async () => {
    const send = (reply: Reply, tensors: readonly HostTensor[] = []): void =>
      parentPort?.postMessage(reply, buffersOf(tensors));
    await answer(request).then(
      ({ value, tensors }) => send({ id, value }, tensors),
      (error: unknown) => send({ id, error: error instanceof Error ? error.message : String(error) }),
    );
  });
});
