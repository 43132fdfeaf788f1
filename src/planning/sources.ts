/** The models and pictures of a planned run: those that are here, and stand-ins for models that would be downloaded. */
import { join } from 'node:path';
import { UserError } from '../base/errors.js';
import { resolveDataset, resolveModel, type ResolveOptions } from '../formats/hub/hub.js';
import type { Logger } from '../base/logger.js';
import { standIn } from './stand-in.js';

export interface Download {
  readonly id: string;
  readonly bytes: number;
}

/** Downloads up to this size are made, as the run would make them: a handful of pictures, a model for tests. */
const SMALL_BYTES = 50e6;
const WEIGHTS = /\.(?:safetensors|bin)(?:\.index(?:\.[\w-]+)?\.json)?$/;

interface RemoteFile {
  readonly path: string;
  readonly size: number;
}

/** What stops a download that was only asked for its size. */
class DownloadNeeded extends Error {
  constructor(readonly files: readonly RemoteFile[]) {
    super('a download is needed');
  }
}

export class PlanSources {
  readonly downloads: Download[] = [];
  private readonly standIns = new Map<string, string>();

  /** @param folder temporary @param log of downloads of configs and pictures */
  constructor(
    private readonly folder: string,
    private readonly log: Logger,
  ) {}

  /**
   * What to plan a model with: itself when it is here, else a folder of its configs and hollow weights.
   * @throws UserError when it is neither here nor can the hub say what it is
   */
  async model(idOrPath: string): Promise<string> {
    const known = this.standIns.get(idOrPath);
    if (known !== undefined) return known;
    const found = await this.whole(idOrPath, resolveModel);
    if (typeof found === 'string') return idOrPath;
    const configs = await resolveModel(idOrPath, {
      log: this.log,
      cacheDir: join(this.folder, 'hub'),
      files: (paths) => paths.filter(isConfig),
    });
    const made = join(this.folder, `model-${this.standIns.size}`);
    await standIn(configs, made, (component, values) =>
      weightBytes(found, component) < 3 * values ? 'float16' : 'float32',
    );
    this.standIns.set(idOrPath, made);
    return made;
  }

  /** @throws UserError for a large dataset that is not here */
  async dataset(idOrPath: string): Promise<string> {
    const found = await this.whole(idOrPath, resolveDataset);
    if (typeof found === 'string') return found;
    throw new UserError(
      `${idOrPath}: these pictures are not here, and ${(bytesIn(found) / 1e9).toFixed(1)} GB are too much to fetch for a plan; download them first, or plan with --cfg-options train_dataloader.dataset.dataset=<a folder with a few of them>`,
    );
  }

  /** The folder when nothing large is missing, else the missing files. */
  private async whole(
    id: string,
    resolve: (id: string, options: ResolveOptions) => Promise<string>,
  ): Promise<string | readonly RemoteFile[]> {
    try {
      return await resolve(id, {
        log: this.log,
        beforeDownload: (files) => {
          this.downloads.push({ id, bytes: bytesIn(files) });
          if (bytesIn(files) > SMALL_BYTES) throw new DownloadNeeded(files);
        },
      });
    } catch (error) {
      if (error instanceof DownloadNeeded) return error.files;
      throw error;
    }
  }
}

const bytesIn = (files: readonly RemoteFile[]): number => files.reduce((n, { size }) => n + size, 0);
const isConfig = (path: string): boolean =>
  /^(?:model_index\.json|(?:unet|vae|text_encoder|tokenizer|scheduler)\/[^/]+)$/.test(path) &&
  !WEIGHTS.test(path) &&
  /\.(?:json|txt)$/.test(path);

/** Bytes of a component's weights among files to download. */
const weightBytes = (files: readonly RemoteFile[], component: string): number =>
  bytesIn(files.filter(({ path }) => path.startsWith(`${component}/`) && WEIGHTS.test(path)));
