/** Options and work that `demo` and `demo_lora` share. */
import { extname } from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import { GUIDANCE_RESCALE_TEXT } from '../src/registry/guidance-rescale.js';
import { PICTURE_SIDE } from '../src/registry/picture-side.js';

export { GUIDANCE_RESCALE_TEXT };

export interface DemoOptions {
  readonly out: string;
  readonly steps: number;
  readonly guidance: number;
  readonly guidanceRescale: number;
  readonly height?: number;
  readonly width?: number;
  readonly seed: number;
  readonly n: number;
  readonly scheduler?: string;
  readonly negativePrompt: string;
  readonly backend?: string;
}

export function addDemoOptions(command: Command): Command {
  return command
    .option('--out <file>', 'PNG to write; with --n, a sheet of all, and file-0.png, file-1.png, ...', 'demo.png')
    .option('--steps <n>', 'denoising steps', whole(1), 50)
    .option('--guidance <x>', 'classifier-free guidance; 1 or less runs without, twice as fast', number, 7.5)
    .option('--guidance-rescale <x>', GUIDANCE_RESCALE_TEXT, share, 0)
    .option('--height <px>', "a multiple of 8 (default: the model's own)", pictureSide)
    .option('--width <px>', "a multiple of 8 (default: the model's own)", pictureSide)
    .option('--seed <n>', 'picture k starts from the noise of seed + k', whole(0), 0)
    .option('--n <count>', 'number of pictures', whole(1), 1)
    .option(
      '--scheduler <name>',
      "sampler, such as DDIMScheduler or DPMSolverMultistepScheduler (default: the model's own)",
    )
    .option('--negative-prompt <text>', 'what should not be in the picture', '')
    .option('--backend <name>', 'what computes: onnxruntime, tfjs, or another component of BACKENDS');
}

/** @param trained what is put on the pipeline, and how strongly */
export async function demo(
  prompt: string,
  model: string,
  trained: { readonly path: string; readonly scale: number } | undefined,
  options: DemoOptions,
): Promise<void> {
  const { isStdout, outputPlace } = await import('../src/base/output-place.js');
  const { UserError } = await import('../src/base/errors.js');
  const { contactSheet, image, writePng } = await import('../src/datasets/image/picture-file.js');
  const { openToDraw } = await import('../src/library/load-pipeline.js');
  const { ConsoleLogger } = await import('../src/loggers/console-logger.js');
  const { track } = await import('../src/base/progress.js');
  const places = await Promise.all(outputs(options).map(outputPlace)); // before hours of work
  if (places.length > 1 && places[0].kind === 'stream')
    throw new UserError(
      `--out ${options.out}: not a file, so that the ${options.n} pictures have no place beside it; leave --n out, or give a file name`,
    );
  const log = new ConsoleLogger((await isStdout(places[0])) ? { out: process.stderr } : {});
  const { backend, steps, n, guidance: guidanceScale, guidanceRescale, scheduler } = options,
    { negativePrompt, height, width } = options;
  const keys = { scheduler: '--scheduler', steps: '--steps' };
  const pipe = await openToDraw(model, { backend, log }, { scheduler, steps, keys });
  try {
    if (trained) await pipe.loadAdapter(trained.path, { scale: trained.scale });
    const bar = track(log, { what: 'pictures', total: n, each: steps });
    const pictures = [];
    try {
      for (let k = 0; k < n; k++) {
        const onStep = (done: number): void => bar.update(k * steps + done);
        const seed = options.seed + k;
        pictures.push(
          await pipe.draw({
            ...{ prompt, negativePrompt, seed, steps, guidanceScale, guidanceRescale, height, width, scheduler },
            onStep,
          }),
        );
      }
    } finally {
      bar.stop();
    }
    const [sheet, ...each] = outputs(options);
    for (const [k, path] of each.entries()) await pictures[k].save(path);
    if (n === 1) await pictures[0].save(sheet);
    else await writePng(sheet, contactSheet(pictures.map((p) => image(p.data, p.height, p.width))));
    log.info(`wrote ${options.out}`);
  } finally {
    await pipe.dispose();
  }
}

/** The sheet or the only picture, then each of several. */
const outputs = ({ out, n }: DemoOptions): [string, ...string[]] => [
  out,
  ...(n > 1 ? Array.from({ length: n }, (_, k) => numbered(out, k)) : []),
];

/** a/demo.png, 2 -> a/demo-2.png */
const numbered = (path: string, k: number): string =>
  `${path.slice(0, path.length - extname(path).length)}-${k}${extname(path)}`;

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('not a number.');
  return value;
}

/** From 0 to 1. */
export function share(text: string): number {
  const value = number(text);
  if (value < 0 || value > 1) throw new InvalidArgumentError('not from 0 to 1.');
  return value;
}

export const whole =
  (minimum: number) =>
  (text: string): number => {
    const value = number(text);
    if (!Number.isSafeInteger(value) || value < minimum)
      throw new InvalidArgumentError(`not a whole number from ${minimum}.`);
    return value;
  };

export function pictureSide(text: string): number {
  const value = whole(8)(text);
  if (value % 8 !== 0) throw new InvalidArgumentError('not a multiple of 8.');
  if (value > PICTURE_SIDE.maximum) throw new InvalidArgumentError(`more than ${PICTURE_SIDE.maximum} pixels.`);
  return value;
}
