/** One ONNX file of an export, open in ONNX Runtime. */
import { FileError, UserError } from '../base/errors.js';
import { DATA_FILE, INDEX_FILE, type WeightIndex } from '../sampling/onnx/weight-index.js';
import { float32, type HostTensor, type Shape } from '../tensor/host.js';
import type { OnnxPipelineOptions } from './draw-options.js';
import type { Files } from './files.js';
import { patchWeights, shapesOf, type ScaledAdapter } from './patch-weights.js';
import type { RuntimeSession, RuntimeTensor } from './runtime.js';

export class OnnxNetwork {
  private session: RuntimeSession | undefined;

  constructor(
    private readonly files: Files,
    private readonly name: string,
    private readonly options: OnnxPipelineOptions,
  ) {}

  /** Names and shapes of its weights. */
  async shapes(): Promise<ReadonlyMap<string, Shape>> {
    return shapesOf(await this.index());
  }

  /** Opens it with these adapters, in place of what was open. */
  async open(adapters: readonly ScaledAdapter[]): Promise<void> {
    const { ort, executionProviders = ['wasm'], sessionOptions = {} } = this.options,
      path = `${this.name}/${DATA_FILE}`,
      why = 'the export is not complete';
    this.options.onLoad?.(this.name);
    const model = await this.files.bytes(`${this.name}/model.onnx`, why),
      data = await this.files.find(path);
    if (adapters.length > 0) {
      if (!data) throw new FileError(`${this.files.at(path)}: missing; adapters change the weights in it`);
      patchWeights(data, await this.index(), adapters, this.files.at(path));
    }
    let next: RuntimeSession;
    try {
      next = await ort.InferenceSession.create(model, {
        executionProviders,
        ...sessionOptions,
        ...(data && { externalData: [{ path: DATA_FILE, data }] }),
      });
    } catch (error) {
      throw new UserError(
        `${this.files.at(`${this.name}/model.onnx`)}: ONNX Runtime (${executionProviders.join(', ')}) does not open it: ${(error as Error).message}`,
        { code: 'BACKEND_UNAVAILABLE', cause: error },
      );
    }
    await this.session?.release();
    this.session = next;
  }

  /** @param output the result that is wanted, float32 */
  async run(feeds: Readonly<Record<string, HostTensor>>, output: string): Promise<HostTensor> {
    const { Tensor } = this.options.ort;
    const inputs: Record<string, RuntimeTensor> = {};
    for (const [name, { dtype, data, shape }] of Object.entries(feeds))
      inputs[name] = new Tensor(dtype as 'float32', data as Float32Array, shape);
    const results = await (this.session as RuntimeSession).run(inputs),
      { data, dims } = results[output];
    const value = float32(Float32Array.from(data as Float32Array), [...dims]);
    for (const tensor of [...Object.values(results), ...Object.values(inputs)]) tensor.dispose?.();
    return value;
  }

  async release(): Promise<void> {
    await this.session?.release();
    this.session = undefined;
  }

  private async index(): Promise<WeightIndex> {
    return (await this.files.json(
      `${this.name}/${INDEX_FILE}`,
      'adapters need it; "diffengine export-onnx" writes it',
    )) as unknown as WeightIndex;
  }
}
