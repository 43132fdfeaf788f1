/**
 * The thread that owns ONNX Runtime: `session.run` blocks the thread it is called on, so progress bars, Ctrl-C and image
 * decoding stay on the main one. States live here and never travel unless they are read or written.
 */
import { parentPort } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';
import type { Reply, Request, SessionSpec, Wire } from './messages.js';

interface Session { readonly ort: ort.InferenceSession; readonly spec: SessionSpec }

const sessions = new Map<number, Session>();
const states = new Map<string, ort.Tensor>();
let nextSession = 0;

const toOrt = ({ dtype, data, shape }: Wire): ort.Tensor => new ort.Tensor(dtype as ort.Tensor.Type, data as ort.Tensor.DataType, shape);

async function toWire(tensor: ort.Tensor): Promise<Wire> {
  const data = (await tensor.getData()) as Float32Array;
  return { dtype: tensor.type as Wire['dtype'], shape: tensor.dims, data: data.slice() };
}

async function compile(spec: SessionSpec): Promise<number> {
  const options: ort.InferenceSession.SessionOptions = {
    executionProviders: [spec.device],
    graphOptimizationLevel: spec.graphOptimizationLevel as 'extended',
    intraOpNumThreads: spec.threads,
    executionMode: 'sequential',
    enableMemPattern: false, // makes the first steps slow and holds more memory when on
    enableCpuMemArena: true,
    logSeverityLevel: 3, // errors; the runtime's warnings are about its own passes
    // Prepacked weights would be private copies: without them every session reads the same mapped file.
    extra: { session: { disable_prepacking: '1' } },
  };
  const id = nextSession++;
  sessions.set(id, { ort: await ort.InferenceSession.create(spec.modelPath, options), spec });
  return id;
}

async function run(id: number, feeds: Readonly<Record<string, Wire>>): Promise<Record<string, Wire>> {
  const session = sessions.get(id) as Session;
  const wanted = session.ort.inputNames.filter((name) => name.startsWith('in:'));
  const inputs = Object.fromEntries(wanted.map((name) => [name, toOrt(fed(feeds, name.slice(3)))]));
  for (const [input, name] of session.spec.states) inputs[input] = state(name);
  const results = await session.ort.run(inputs);
  for (const [output, name] of session.spec.updates) {
    states.get(name)?.dispose();
    states.set(name, results[output]);
  }
  const fetched: Record<string, Wire> = {};
  for (const [output, name] of session.spec.outputs) {
    fetched[name] = await toWire(results[output]);
    results[output].dispose();
  }
  return fetched;
}

/** Feeds the program does not read are left out; one it reads must be there. */
function fed(feeds: Readonly<Record<string, Wire>>, name: string): Wire {
  if (!feeds[name]) throw new Error(`input "${name}" was not fed; fed: ${Object.keys(feeds).join(', ')}`);
  return feeds[name];
}

function state(name: string): ort.Tensor {
  const found = states.get(name);
  if (!found) throw new Error(`state "${name}" was never written`);
  return found;
}

async function answer(request: Request): Promise<unknown> {
  switch (request.kind) {
    case 'compile': return compile(request.spec);
    case 'run': return run(request.session, request.feeds);
    case 'read': return toWire(state(request.name));
    case 'release':
      await sessions.get(request.session)?.ort.release();
      return void sessions.delete(request.session);
    case 'write':
      states.get(request.name)?.dispose();
      return void states.set(request.name, toOrt(request.value));
    case 'delete':
      states.get(request.name)?.dispose();
      return void states.delete(request.name);
  }
}

// One after the other, in the order they came: a run sees every state written before it.
let last = Promise.resolve();
parentPort?.on('message', ({ id, request }: { id: number; request: Request }) => {
  last = last.then(async () => {
    const reply: Reply = await answer(request).then(
      (value) => ({ id, value }),
      (error: unknown) => ({ id, error: error instanceof Error ? error.message : String(error) }),
    );
    parentPort?.postMessage(reply);
  });
});
