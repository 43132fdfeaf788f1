/** The networks of a pipeline as programs of their own, with the names and order that Optimum and diffusers' ONNX pipelines use. */
import type { OpenSize, OpenSizes } from '../../backends/onnx/open-sizes.js';
import type { PipelineFolder } from '../../formats/pipeline/pipeline-folder.js';
import { clipPooled, clipText } from '../../networks/clip-text.js';
import { Scope, type ParamSource } from '../../networks/layers/scope.js';
import { unet } from '../../networks/unet.js';
import type { UNetConfig } from '../../networks/unet-config.js';
import { vaeDecode, vaeEncode } from '../../networks/vae.js';
import { concat, expand } from '../../tensor/ops.js';
import { input, type Tensor } from '../../tensor/tensor.js';

/** One ONNX file. */
export interface OnnxComponent {
  /** folder of the export */
  readonly name: 'text_encoder' | 'unet' | 'vae_encoder' | 'vae_decoder';
  /** folder of the pipeline whose config.json it has */
  readonly of: 'text_encoder' | 'unet' | 'vae';
  /** sizes that the file leaves open */
  readonly sizes: readonly OpenSize[];
  /** sizes of the graph beside those and those of its parameters */
  readonly others: readonly number[];
  build(source: ParamSource, sizes: OpenSizes): Record<string, Tensor>;
}

const batch = (usual: number): OpenSize => ({ name: 'batch_size', multiple: 1, usual });
const side = (usual: number, multiple = 1): OpenSize[] =>
  ['height', 'width'].map((name) => ({ name, multiple, usual }));

export function onnxComponents(folder: PipelineFolder, unetConfig: UNetConfig): OnnxComponent[] {
  const { textConfig, vaeConfig, tokenizer } = folder,
    tokens = tokenizer.maxLength,
    factor = 2 ** (vaeConfig.blockOutChannels.length - 1),
    stages = 2 ** (unetConfig.blockOutChannels.length - 1),
    { sampleSize } = unetConfig;
  const picture = (sizes: OpenSizes, channels: number): number[] => [
    sizes.standIn('batch_size'),
    channels,
    sizes.standIn('height'),
    sizes.standIn('width'),
  ];
  // transformers takes the largest id where the config has the end token of before 4.30
  const end = textConfig.eosTokenId === 2 ? tokenizer.largestMark : textConfig.eosTokenId;
  return [
    {
      name: 'text_encoder',
      of: 'text_encoder',
      sizes: [batch(2)],
      others: [tokens],
      build: (source, sizes) => {
        const ids = input('input_ids', [sizes.standIn('batch_size'), tokens], 'int32'),
          { lastHiddenState } = clipText(new Scope(source), ids, textConfig);
        return { last_hidden_state: lastHiddenState, pooler_output: clipPooled(ids, lastHiddenState, end) };
      },
    },
    {
      name: 'unet',
      of: 'unet',
      sizes: [batch(2), ...side(sampleSize, stages), { name: 'sequence_length', multiple: 1, usual: tokens }],
      others: [],
      build: (source, sizes) => {
        const sample = input('sample', picture(sizes, unetConfig.inChannels)),
          [B] = sample.shape,
          text = [B, sizes.standIn('sequence_length'), unetConfig.crossAttentionDim];
        const { out } = unet(
          new Scope(source),
          {
            sample,
            timesteps: expand(input('timestep', [1]), [B]),
            encoderHiddenStates: input('encoder_hidden_states', text),
          },
          unetConfig,
        );
        return { out_sample: out };
      },
    },
    {
      name: 'vae_decoder',
      of: 'vae',
      sizes: [batch(1), ...side(sampleSize)],
      others: [],
      build: (source, sizes) => {
        const latents = input('latent_sample', picture(sizes, vaeConfig.latentChannels));
        return { sample: vaeDecode(new Scope(source), latents, vaeConfig) };
      },
    },
    {
      name: 'vae_encoder',
      of: 'vae',
      sizes: [batch(1), ...side(sampleSize * factor, factor)],
      others: [],
      build: (source, sizes) => {
        const pixels = input('sample', picture(sizes, vaeConfig.inChannels)),
          { mean, logvar } = vaeEncode(new Scope(source), pixels, vaeConfig);
        return { latent_parameters: concat([mean, logvar], 1) };
      },
    },
  ];
}
