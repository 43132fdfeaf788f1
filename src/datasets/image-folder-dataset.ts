import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { inject } from 'inversify';
import { UserError } from '../base/errors.js';
import { Rng, type RandomStream } from '../base/rng.js';
import { DATASETS, Dataset, type DatasetServices, type Sample } from './dataset.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { BUILD, OPTIONS, type Build } from '../registry/tokens.js';
import { readCaptions } from './captions.js';
import type { Pipeline, Source } from './pipeline.js';
import { buildPipeline, pipelineOption } from './pipeline-option.js';
import { fileSource } from './sources.js';

@DATASETS.register()
export class ImageFolderDataset extends Dataset {
  static readonly options = {
    description: 'A folder of pictures with a table that gives each its text.',
    type: 'object',
    additionalProperties: false,
    required: ['dataset', 'pipeline'],
    properties: {
      dataset: { type: 'string', description: 'folder, or dataset id on the hub' },
      csv: {
        type: 'string',
        default: 'metadata.csv',
        description: 'table in that folder: .csv with a header line, or .jsonl',
      },
      image_column: {
        type: 'string',
        default: 'file_name',
        description: 'column with the file name, relative to the table',
      },
      caption_column: { type: 'string', default: 'text', description: 'column with the text' },
      pipeline: pipelineOption,
    },
  } as const satisfies OptionsSchema;

  override readonly augmented: boolean;
  private readonly pipeline: Pipeline;
  private rows: readonly { source: Source; text: string }[] = [];

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof ImageFolderDataset.options>,
    @inject(BUILD) build: Build,
  ) {
    super();
    this.pipeline = buildPipeline(opts.pipeline, build);
    this.augmented = this.pipeline.random;
  }

  override get length(): number {
    return this.rows.length;
  }

  /** Checks that every picture is there and tries the first; there may be too many to decode them all. */
  override async prepare(services: DatasetServices): Promise<void> {
    const { dataset, csv, image_column, caption_column } = this.opts;
    const table = join(await services.resolveDataset(dataset), csv);
    const captions = await readCaptions(table, image_column, caption_column);
    this.rows = await Promise.all(
      captions.map(async ({ file, text, where }) => {
        const path = join(table, '..', file);
        await access(path).catch((error) => {
          throw new UserError(`${where}: no such picture, ${path}; correct the name or remove the row`, {
            cause: error,
          });
        });
        return { source: fileSource(path), text };
      }),
    );
    await this.get(0, new Rng(0).stream('check'));
    services.logger.info(`dataset: ${this.rows.length} pictures with texts from ${table}`);
  }

  override get(index: number, stream: RandomStream): Promise<Sample> {
    const { source, text } = this.rows[index];
    return this.pipeline.run(source, text, stream);
  }
}

declare module '../registry/kinds.js' {
  interface DatasetMap {
    ImageFolderDataset: typeof ImageFolderDataset;
  }
}
