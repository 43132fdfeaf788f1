import { mkdir, open, readdir, readFile, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { inject } from 'inversify';
import { writeFileAtomic } from '../base/atomic-file.js';
import { VISBACKENDS, VisBackend, type VisImage, type VisRun } from '../engine/vis-backend.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { OPTIONS } from '../registry/tokens.js';
import { imageEvent, scalarsEvent, stepOf, textEvent, versionEvent } from './tensorboard/event.js';
import { record, records } from './tensorboard/records.js';

const PREFIX = 'events.out.tfevents.';

@VISBACKENDS.register()
export class TensorboardVisBackend extends VisBackend {
  static readonly options = {
    description: 'Event files for TensorBoard: tensorboard --logdir work_dirs. W&B and Aim import them.',
    type: 'object',
    additionalProperties: false,
    properties: {
      save_dir: { type: 'string', minLength: 1, default: 'vis_data', description: 'folder in the work dir' },
    },
  } as const satisfies OptionsSchema;
  private file: FileHandle | undefined;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof TensorboardVisBackend.options>) {
    super();
  }

  override async open({ workDir, iter }: VisRun): Promise<void> {
    const folder = workDir.file(this.opts.save_dir),
      now = Date.now() / 1000;
    await mkdir(folder, { recursive: true });
    // A resumed run writes a file of its own; points that it will make again leave the earlier ones.
    for (const name of (await readdir(folder)).filter((file) => file.startsWith(PREFIX)))
      await keepBefore(join(folder, name), iter);
    this.file = await open(join(folder, `${PREFIX}${now.toFixed(3)}.${hostname()}.${process.pid}`), 'a');
    await this.append(versionEvent(now));
  }

  override addScalars(scalars: Readonly<Record<string, number>>, step: number, wallTime: number): Promise<void> {
    return this.append(scalarsEvent(scalars, step, wallTime));
  }

  override addImage(image: VisImage, step: number, wallTime: number): Promise<void> {
    return this.append(imageEvent(image.name, image, step, wallTime));
  }

  override addText(name: string, text: string, step: number, wallTime: number): Promise<void> {
    return this.append(textEvent(name, `\`\`\`yaml\n${text}\`\`\``, step, wallTime));
  }

  override async flush(): Promise<void> {
    await this.file?.sync();
  }

  override async close(): Promise<void> {
    await this.file?.close();
    this.file = undefined;
  }

  private async append(data: Uint8Array): Promise<void> {
    await this.file?.appendFile(record(data));
  }
}

/** Rewrites an event file without what came at `iter` or later; untouched when there is none. */
async function keepBefore(path: string, iter: number): Promise<void> {
  const file = await readFile(path),
    all = [...records(file)];
  // The version and the config have step 0, and belong to a run that starts again, too.
  const kept = all.filter(({ data }, i) => i === 0 || stepOf(data) < iter).map(({ whole }) => whole);
  if (kept.length < all.length) await writeFileAtomic(path, Buffer.concat(kept));
}

declare module '../registry/kinds.js' {
  interface VisBackendMap {
    TensorboardVisBackend: typeof TensorboardVisBackend;
  }
}
