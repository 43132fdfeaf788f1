import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inject } from 'inversify';
import { writeFileAtomic } from '../base/atomic-file.js';
import { VISBACKENDS, VisBackend, type VisImage, type VisRun } from '../engine/vis-backend.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { OPTIONS } from '../registry/tokens.js';

@VISBACKENDS.register()
export class LocalVisBackend extends VisBackend {
  static readonly options = {
    description: 'Numbers as JSON lines, pictures and the config as files, in a folder of the work dir.',
    type: 'object',
    additionalProperties: false,
    properties: {
      save_dir: { type: 'string', minLength: 1, default: 'vis_data', description: 'folder in the work dir' },
    },
  } as const satisfies OptionsSchema;
  private folder = '';

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof LocalVisBackend.options>) {
    super();
  }

  override async open({ workDir, config, iter }: VisRun): Promise<void> {
    this.folder = workDir.file(this.opts.save_dir);
    await mkdir(join(this.folder, 'vis_image'), { recursive: true });
    await workDir.write(join(this.opts.save_dir, 'config.yaml'), config);
    const text = await readFile(this.scalars, 'utf8').catch(() => '');
    const kept = text.split('\n').filter((line) => stepOf(line) < iter);
    await writeFileAtomic(this.scalars, kept.map((line) => `${line}\n`).join(''));
  }

  override addScalars(scalars: Readonly<Record<string, number>>, step: number): Promise<void> {
    return appendFile(this.scalars, `${JSON.stringify({ ...scalars, step })}\n`);
  }

  override addImage({ name, png }: VisImage, step: number): Promise<void> {
    return writeFileAtomic(join(this.folder, 'vis_image', `${name.replaceAll('/', '_')}_${step}.png`), png);
  }

  override async addText(name: string, text: string): Promise<void> {
    if (name !== 'config') await writeFileAtomic(join(this.folder, `${name}.txt`), text);
  }

  private get scalars(): string {
    return join(this.folder, 'scalars.json');
  }
}

/** Infinity for a line that a crash of the machine has torn. */
function stepOf(line: string): number {
  try {
    return (JSON.parse(line) as { step?: number }).step ?? Infinity;
  } catch {
    return Infinity;
  }
}

declare module '../registry/kinds.js' {
  interface VisBackendMap {
    LocalVisBackend: typeof LocalVisBackend;
  }
}
