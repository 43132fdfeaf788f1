/**
 * The thread that owns ONNX Runtime: `session.run` blocks the thread it is called on, so progress bars, Ctrl-C and image
 * decoding stay on the main one. States live here and never travel unless they are read or written.
 */
import { parentPort, workerData } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';
import type { DType, HostTensor, TypedArray } from '../../tensor/host.js';
import { ownCopy } from '../bytes.js';
import { buffersOf, type Place, type Reply, type Request, type SessionSpec } from './messages.js';

interface Session { readonly ort: ort.InferenceSession; readonly spec: SessionSpec }

const { device, resident } = workerData as Place;
if (device !== 'cpu') ort.env.logLevel = 'fatal'; // what it says of a missing device is thrown, too
/** Loaded only where states lie on the device. */
const memory = resident ? import('./webgpu-memory.js').then(({ WebgpuMemory }) => new WebgpuMemory()) : undefined;

const sessions = new Map<number, Session>();
const states = new Map<string, ort.Tensor>();
let nextSession = 0;

/** What a request gives: its value, and the tensors in it whose buffers may move. */
interface Answer { readonly value?: unknown; readonly tensors?: readonly HostTensor[] }

const toOrt = ({ dtype, data, shape }: HostTensor): ort.Tensor => new ort.Tensor(dtype as ort.Tensor.Type, data as ort.Tensor.DataType, shape);

/** A copy: the runtime's own buffers stay where they are. */
function toHost({ type, dims, data }: ort.Tensor): HostTensor {
  return ownCopy({ dtype: type as DType, shape: dims, data: data as TypedArray });
}

async function compile(spec: SessionSpec): Promise<number> {
  const options: ort.InferenceSession.SessionOptions = {
    executionProviders: [device],
    graphOptimizationLevel: spec.graphOptimizationLevel as 'extended',
    intraOpNumThreads: spec.threads,
    ...(resident ? { preferredOutputLocation: Object.fromEntries(spec.updates.map(([output]) => [output, 'gpu-buffer' as const])) } : {}),
    executionMode: 'sequential',
    enableMemPattern: false, // makes the first steps slow and holds more memory when on
    enableCpuMemArena: true,
    logSeverityLevel: 4, // errors are thrown; the runtime would print them, too
    // Prepacked weights would be private copies: without them every session reads the same mapped file.
    extra: { session: { disable_prepacking: '1' } },
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
  const { updates, outputs } = session.spec, inPlace = new Set(session.spec.inPlace);
  const places = updates.map(([output, name]) => [output, inPlace.has(output) ? state(name) : null] as const);
  const results = await session.ort.run(inputs, Object.fromEntries([...outputs.map(([output]) => [output, null] as const), ...places]));
  for (const [output, name] of updates) {
    if (inPlace.has(output)) continue;
    states.get(name)?.dispose();
    states.set(name, results[output]);
  }
  const fetched: Record<string, HostTensor> = {};
  for (const [output, name] of outputs) {
    fetched[name] = toHost(results[output]);
    results[output].dispose();
  }
  return { value: fetched, tensors: Object.values(fetched) };
}

async function read(name: string): Promise<Answer> {
  const held = state(name), value = toHost(memory ? await (await memory).download(held) : held);
  return { value, tensors: [value] };
}

function state(name: string): ort.Tensor {
  const found = states.get(name);
  if (!found) throw new Error(`state "${name}" was never written`);
  return found;
}

async function answer(request: Request): Promise<Answer> {
  switch (request.kind) {
    case 'compile': return { value: await compile(request.spec) };
    case 'run': return run(request.session, request.feeds);
    case 'read': return read(request.name);
    case 'release':
      await sessions.get(request.session)?.ort.release();
      sessions.delete(request.session);
      return {};
    case 'write': {
      const value = toOrt(request.value), placed = memory ? await (await memory).upload(value) : value;
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
    const send = (reply: Reply, tensors: readonly HostTensor[] = []): void => parentPort?.postMessage(reply, buffersOf(tensors));
    await answer(request).then(
      ({ value, tensors }) => send({ id, value }, tensors),
      (error: unknown) => send({ id, error: error instanceof Error ? error.message : String(error) }),
    );
  });
});
