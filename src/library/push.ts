import { stopIfAborted } from '../base/errors.js';
import { checkpointPath } from '../engine/checkpoint-path.js';
import { sharedFiles } from '../engine/published-files.js';
import { pushFiles } from '../formats/hub/push.js';
import { FLAG, logOf, optionsOf, TEXT, type CallOptions } from './call-options.js';

export interface PushOptions extends CallOptions {
  /** Whether everyone may see a repository that is made now. Default false. */
  readonly public?: boolean | undefined;
  /** Of the base model, for the card: `creativeml-openrail-m`. Default: known for models of the package alone. */
  readonly license?: string | undefined;
}

export interface PushResult {
  /** address of the commit */
  readonly url: string;
  /** paths in the repository */
  readonly files: readonly string[];
}

const check = optionsOf<PushOptions>({ public: FLAG, license: TEXT });

/**
 * Uploads what was trained, its model card and its pictures to the Hugging Face hub, in one commit.
 * @param path checkpoint or work dir of a run (then its last checkpoint)
 * @param repo `user/name`; made when it is not there, private unless `public` is set
 * @throws UserError FILE_NOT_FOUND, DOWNLOAD_FAILED (no token, refused, not reached), INTERRUPTED
 */
export async function push(path: string, repo: string, options: PushOptions = {}): Promise<PushResult> {
  check('push', options);
  const { license, signal } = options,
    log = logOf(options);
  stopIfAborted(signal, 'push');
  const files = await sharedFiles(await checkpointPath(path), repo.split('/').at(-1) ?? repo, license);
  const url = await pushFiles({
    repo,
    files,
    title: 'Upload with diffengine',
    isPrivate: options.public !== true,
    log,
    signal,
  });
  return { url, files: files.map((file) => file.path) };
}
