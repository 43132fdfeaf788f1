/** README.md of a trained model, with the metadata that the Hugging Face hub reads (huggingface.co/docs/hub/model-cards). */
import { stringify } from 'yaml';
import { packageVersion } from '../base/version.js';

export interface CardFacts {
  /** of the model, for the title */
  readonly name: string;
  /** pipeline that it was trained on: an id of the hub, or a path */
  readonly base: string;
  /** SPDX, or the hub's own: `creativeml-openrail-m` */
  readonly license?: string | undefined;
  /** parts that are there */
  readonly adapters: readonly string[];
  readonly networks: readonly string[];
  /** the merged config of the run */
  readonly config: Readonly<Record<string, unknown>>;
  readonly iterations: number;
  /** pictures beside the card, with their prompts */
  readonly pictures: readonly { readonly file: string; readonly prompt: string }[];
}

type Tree = Readonly<Record<string, unknown>>;
const part = (tree: unknown, ...keys: readonly string[]): unknown =>
  keys.reduce<unknown>((at, key) => (at as Tree | undefined)?.[key], tree);

/** Paths of this machine say nothing to others, and may say too much. */
const isId = (base: string): boolean => /^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(base);
const named = (base: string): string => (isId(base) ? base : (base.split(/[\\/:]/).at(-1) ?? base));

export function modelCard(facts: CardFacts): string {
  const { config, base, pictures, adapters } = facts,
    instance = part(config, 'train_dataloader', 'dataset', 'instance_prompt'),
    kind = String(
      part(config, 'model', 'unet_lora_config', 'type') ??
        part(config, 'model', 'text_encoder_lora_config', 'type') ??
        '',
    ),
    isAdapter = adapters.length > 0;
  const metadata = {
    ...(isId(base) && { base_model: base, base_model_relation: isAdapter ? 'adapter' : 'finetune' }),
    ...(facts.license !== undefined && { license: facts.license }),
    library_name: 'diffusers',
    pipeline_tag: 'text-to-image',
    inference: true,
    ...(typeof instance === 'string' && { instance_prompt: instance }),
    tags: [
      'text-to-image',
      'stable-diffusion',
      'stable-diffusion-diffusers',
      'diffusers',
      'diffengine',
      ...(isAdapter ? [kind.toLowerCase() || 'lora', 'template:sd-lora'] : []),
      ...(typeof instance === 'string' ? ['dreambooth'] : []),
    ],
    ...(pictures.length > 0 && {
      widget: pictures.map(({ file, prompt }) => ({ text: prompt, output: { url: file } })),
    }),
  };
  return `---\n${stringify(metadata, { lineWidth: 0 })}---\n\n${body(facts, typeof instance === 'string' ? instance : undefined)}`;
}

function body(facts: CardFacts, instance: string | undefined): string {
  const { name, base, adapters, networks, config, iterations, pictures } = facts,
    model = named(base),
    trained = [...adapters.map((p) => `an adapter of \`${p}\``), ...networks.map((p) => `all of \`${p}\``)].join(
      ' and ',
    );
  const rows = [
    ['iterations', iterations],
    ['batch size', part(config, 'train_dataloader', 'batch_size')],
    ['optimizer', part(config, 'optim_wrapper', 'optimizer', 'type')],
    ['learning rate', part(config, 'optim_wrapper', 'optimizer', 'lr')],
    ['rank', part(config, 'model', 'unet_lora_config', 'r')],
    ['alpha', part(config, 'model', 'unet_lora_config', 'lora_alpha')],
    ['prompt', instance],
    ['class prompt', part(config, 'train_dataloader', 'dataset', 'class_prompt')],
    ['seed', part(config, 'randomness', 'seed') ?? 0],
  ].filter(([, value]) => value !== undefined && value !== null);
  const show = pictures.map(({ file, prompt }) => `| ![${prompt}](${file}) | ${prompt} |`);
  return `# ${name}

Trained on \`${model}\` with [diffengine](https://www.npmjs.com/package/diffengine) ${packageVersion}: ${trained || 'nothing'}.${instance === undefined ? '' : ` Its subject is called by \`${instance}\`.`}
${show.length > 0 ? `\n| picture | prompt |\n| --- | --- |\n${show.join('\n')}\n` : ''}
## Settings

| setting | value |
| --- | --- |
${rows.map(([key, value]) => `| ${String(key)} | ${String(value)} |`).join('\n')}

## Use

\`\`\`sh
npx diffengine demo_lora "${instance ?? 'a prompt'}" <this folder> --sdmodel ${model}
\`\`\`
${adapters.length > 0 ? `\n${inPython(model, adapters)}` : ''}`;
}

const inPython = (base: string, adapters: readonly string[]): string => `\`\`\`python
from diffusers import StableDiffusionPipeline
from peft import PeftModel

pipe = StableDiffusionPipeline.from_pretrained("${base}")
${adapters.map((p) => `pipe.${p} = PeftModel.from_pretrained(pipe.${p}, "<this folder>/${p}")`).join('\n')}
\`\`\`
`;
