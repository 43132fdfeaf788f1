import { basename } from 'node:path';
import { inject } from 'inversify';
import { UserError } from '../base/errors.js';
import type { RandomStream } from '../base/rng.js';
import { DATASETS, Dataset, type DatasetServices, type Sample } from './dataset.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { BUILD, OPTIONS, type Build } from '../registry/tokens.js';
import type { Shape } from '../tensor/host.js';
import { tablePictures } from './captions.js';
import { checkPictures, type Candidate } from './check.js';
import { count, listFolder, unusedFiles, type DescribedPicture } from './folder.js';
import { isImageName } from './image/picture-format.js';
import type { Pipeline } from './pipeline.js';
import { buildPipeline, pipelineOption } from './pipeline-option.js';
import { repeatsOf, timesOf } from './repeats.js';
import { sidecarPictures } from './sidecars.js';
import { fileSource } from './sources.js';

const TABLE = 'metadata.csv';

@DATASETS.register()
export class ImageFolderDataset extends Dataset {
  static readonly options = {
    description: 'A folder of pictures, each with a text: from a table, or from a file beside each picture.',
    type: 'object',
    additionalProperties: false,
    required: ['dataset', 'pipeline'],
    properties: {
      dataset: { type: 'string', description: 'folder, or dataset id on the hub' },
      csv: {
        type: 'string',
        default: TABLE,
        description:
          'table in that folder: .csv or .tsv with a header line, or .jsonl; not read with caption_extension',
      },
      image_column: {
        type: 'string',
        default: 'file_name',
        description: 'column with the file name, relative to the table, or absolute',
      },
      caption_column: { type: 'string', default: 'text', description: 'column with the text' },
      caption_extension: {
        type: ['string', 'null'],
        default: null,
        pattern: '^\\.[^./]+$',
        description: 'read texts from files beside the pictures instead: ".txt" or ".caption", as kohya\'s scripts do',
      },
      repeats: {
        enum: ['none', 'folder_name'],
        default: 'none',
        description:
          'folder_name: pictures of a folder "10_sks dog" come up ten times a round, and "sks dog" describes those without a caption file',
      },
      check_pictures: {
        type: ['integer', 'null'],
        minimum: 1,
        default: null,
        description: 'how many pictures to try before training; null: all',
      },
      pipeline: pipelineOption,
    },
  } as const satisfies OptionsSchema;

  override readonly augmented: boolean;
  private readonly pipeline: Pipeline;
  private rows: readonly Candidate[] = [];

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

  /** @throws UserError naming what is missing, malformed or broken, all of it at once where it can be */
  override async prepare(services: DatasetServices): Promise<void> {
    const { dataset, csv, caption_extension, repeats, check_pictures } = this.opts,
      { logger } = services,
      folder = await services.resolveDataset(dataset),
      names = await listFolder(folder),
      { pictures, read } = await this.find(folder, names, services);
    const unused = unusedFiles(folder, names, new Set([...read, ...pictures.map(({ name }) => name)]), {
      pictures: `not in ${csv}`,
      captions: caption_extension === null ? 'read with caption_extension' : 'another extension than caption_extension',
    });
    if (unused !== undefined) logger.warn(unused);

    const candidates = pictures.map(({ path, text }) => ({ source: fileSource(path), text }));
    await checkPictures(candidates, this.pipeline, services, check_pictures);
    const times = timesOf(
      folder,
      pictures.map(({ name }) => name),
      repeats,
      logger,
    );
    this.rows = candidates.flatMap((candidate, i) => new Array<Candidate>(times[i]).fill(candidate));
    const from = caption_extension === null ? csv : `${caption_extension} files`;
    logger.info(
      `dataset: ${count(pictures.length, 'picture')} with texts from ${from} in ${folder}${repeats === 'none' ? '' : `, ${this.length} with repeats`}`,
    );
  }

  override shapeOf(index: number): Promise<Shape> {
    const { source, text } = this.rows[index];
    return this.pipeline.shapeOf(source, text);
  }

  override get(index: number, stream: RandomStream): Promise<Sample> {
    const { source, text } = this.rows[index];
    return this.pipeline.run(source, text, stream);
  }

  /** @returns the pictures and the files that their texts are from */
  private async find(
    folder: string,
    names: readonly string[],
    { logger }: DatasetServices,
  ): Promise<{ pictures: readonly DescribedPicture[]; read: readonly string[] }> {
    const { csv, caption_extension, repeats } = this.opts;
    if (caption_extension === null)
      return { pictures: await tablePictures(folder, names, this.opts, logger), read: [csv] };
    if (csv !== TABLE)
      throw new UserError(
        `ImageFolderDataset: csv (${csv}) and caption_extension (${caption_extension}) are both set; remove one`,
      );
    const words = (picture: string): string | undefined =>
      repeats === 'folder_name' ? repeatsOf(folder, picture)?.words || undefined : undefined;
    const images = names.filter((name) => isImageName(basename(name))),
      fallback = { text: words, said: 'the words of the folder', forAll: true };
    const { pictures, files } = await sidecarPictures(folder, names, images, caption_extension, fallback, logger);
    return { pictures, read: files };
  }
}

declare module '../registry/kinds.js' {
  interface DatasetMap {
    ImageFolderDataset: typeof ImageFolderDataset;
  }
}
