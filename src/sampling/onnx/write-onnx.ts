/** A pipeline as a folder of ONNX files, in the layout of Optimum and of diffusers' ONNX pipelines. */
import { cp, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { mergedInto } from '../../adapters/merged-weight.js';
import { emitProgram } from '../../backends/onnx/emit.js';
import { OpenSizes } from '../../backends/onnx/open-sizes.js';
import { portable, PORTABLE_OPSET } from '../../backends/onnx/portable.js';
import { optimize } from '../../backends/optimize.js';
import { writeFolderAtomic } from '../../base/atomic-folder.js';
import { stopIfAborted } from '../../base/errors.js';
import type { Logger } from '../../base/logger.js';
import { track } from '../../base/progress.js';
import { packageVersion } from '../../base/version.js';
import type { FrozenSource } from '../../formats/frozen-source.js';
import { partFolders } from '../../formats/pipeline/part-folders.js';
import { pipelineFingerprint, type PipelineFolder } from '../../formats/pipeline/pipeline-folder.js';
import { sayPrediction } from '../../formats/pipeline/trained-prediction.js';
import { readJson } from '../../formats/read-json.js';
import { recorded } from '../../networks/record.js';
import type { HostTensor } from '../../tensor/host.js';
import { rewrite } from '../../tensor/passes/rewrite.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { TrainedNetwork, TrainedNetworks } from '../trained-networks.js';
import { onnxComponents, type OnnxComponent } from './graphs.js';
import { DATA_FILE, INDEX_FILE } from './weight-index.js';
import { WeightStore, type OnnxDtype } from './weight-store.js';

export interface OnnxFile {
  /** folder of the export */
  readonly component: string;
  readonly weights: number;
  /** of `model.onnx` and its data together */
  readonly bytes: number;
}

export interface OnnxRequest {
  readonly out: string;
  readonly dtype: OnnxDtype;
  /** how its user calls the pipeline */
  readonly model: string;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes the folder, whole or not at all. Adapters are in its weights.
 * @throws UserError when `out` has content, or a weight does not fit the type
 */
export async function writeOnnx(
  folder: PipelineFolder,
  networks: TrainedNetworks,
  request: OnnxRequest,
): Promise<OnnxFile[]> {
  const { out, dtype, log, signal } = request;
  const components = onnxComponents(folder, networks.unetConfig);
  const prepared = components.map((component) => prepare(component, dtype));
  const total = prepared.reduce((n, { store }) => n + Object.keys(store.index).length, 0),
    bar = track(log, { what: 'weights', total }),
    files: OnnxFile[] = [];
  let done = 0;
  try {
    await writeFolderAtomic(out, async (aside) => {
      for (const [i, { name, of }] of components.entries()) {
        const { model, store } = prepared[i],
          to = join(aside, name),
          network = networkOf(of, folder, networks);
        await mkdir(to);
        await writeFile(join(to, 'model.onnx'), model);
        await writeFile(join(to, INDEX_FILE), JSON.stringify(store.index));
        await store.write(join(to, DATA_FILE), valuesOf(network), () => {
          stopIfAborted(signal, 'exportOnnx');
          bar.update(++done);
        });
        await writeConfig(of, folder, network.frozen, join(to, 'config.json'));
        const { size } = await stat(join(to, DATA_FILE));
        files.push({
          component: name,
          weights: Object.keys(store.index).length,
          bytes: size + model.byteLength,
        });
      }
      await copyRest(folder.path, aside);
      if (networks.prediction !== undefined) await sayPrediction(join(aside, 'scheduler'), networks.prediction);
      const about = {
        version: packageVersion,
        base_model: request.model,
        base_fingerprint: await pipelineFingerprint(folder),
        dtype,
        files: await filesOf(aside),
      };
      await writeFile(join(aside, 'diffengine.json'), `${JSON.stringify(about, null, 2)}\n`);
    });
  } finally {
    bar.stop();
  }
  return files;
}

/** The graph of a component as a file, and where its weights go. */
function prepare(component: OnnxComponent, dtype: OnnxDtype): { model: Uint8Array; store: WeightStore } {
  const { name, sizes, others, build } = component;
  // Numbers of the graph beside those of its parameters are products or parts of them.
  const [small] = OpenSizes.pair(sizes, []),
    known = [...recorded((source) => void build(source, small)).values()].flat();
  const [first, second] = OpenSizes.pair(sizes, [...known, ...others]).map((set) => {
    const store = new WeightStore(dtype),
      options = { lowering: portable(set), portable: { opset: PORTABLE_OPSET, sizes: set } };
    const { model } = emitProgram(optimize({ name, outputs: unordered(build(store, set)) }), () => DATA_FILE, options);
    return { model, store };
  });
  if (Buffer.compare(first.model, second.model) !== 0)
    throw new Error(`${name}: its graph depends on more than the sizes ${sizes.map((size) => size.name).join(', ')}`);
  return first;
}

/** Without what says when a weight is unpacked: that is for training, and reads a value of an open size. */
function unordered(outputs: Record<string, Tensor>): Record<string, Tensor> {
  const names = Object.keys(outputs),
    plain = rewrite(Object.values(outputs), (node, inputs) => (node.op === 'after' ? [inputs[0]] : undefined));
  return Object.fromEntries(names.map((name, i) => [name, plain[i]]));
}

function networkOf(of: OnnxComponent['of'], folder: PipelineFolder, { unet, text }: TrainedNetworks): TrainedNetwork {
  return { unet, text_encoder: text, vae: { frozen: folder.vae, adapters: [] } }[of];
}

/** float32, with the adapters in them. */
const valuesOf =
  ({ frozen, adapters }: TrainedNetwork) =>
  async (name: string): Promise<HostTensor> =>
    mergedInto(await frozen.weights.readFloat32(frozen.storedName(name)), name, adapters);

/** The component's own config.json: the pipeline's, or that of a network which was trained whole. */
async function writeConfig(of: string, folder: PipelineFolder, frozen: FrozenSource, to: string): Promise<void> {
  const own = join(frozen.weights.files[0], '..', 'config.json'),
    from = (await stat(own).catch(() => undefined))
      ? own
      : join((await partFolders(folder.path)).of(of), 'config.json');
  await writeFile(to, `${JSON.stringify(await readJson(from, 'every component has one'), null, 2)}\n`);
}

/** Paths below it, with slashes: who reads the folder through a server cannot list it. */
async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

/** Parts of diffusers' pipelines that are no networks. */
const PLAIN = ['scheduler', 'tokenizer'];

async function copyRest(from: string, to: string): Promise<void> {
  const index = await readJson(join(from, 'model_index.json'), 'a diffusers pipeline folder has one');
  for (const name of PLAIN) await cp(join(from, name), join(to, name), { recursive: true, dereference: true });
  const hasExtractor = (await readdir(from)).includes('feature_extractor');
  if (hasExtractor) await cp(join(from, 'feature_extractor'), join(to, 'feature_extractor'), { recursive: true });
  const onnx = ['diffusers', 'OnnxRuntimeModel'];
  const listed = {
    _class_name: 'StableDiffusionPipeline', // Optimum chooses its class by it
    _diffusers_version: index['_diffusers_version'] ?? '0.30.0',
    feature_extractor: hasExtractor ? index['feature_extractor'] : [null, null],
    requires_safety_checker: false,
    safety_checker: [null, null],
    scheduler: index['scheduler'],
    text_encoder: onnx,
    tokenizer: index['tokenizer'],
    unet: onnx,
    vae_decoder: onnx,
    vae_encoder: onnx,
  };
  await writeFile(join(to, 'model_index.json'), `${JSON.stringify(listed, null, 2)}\n`);
}
