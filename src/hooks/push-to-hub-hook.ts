import { inject } from 'inversify';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { lastCheckpoint } from '../engine/checkpoint.js';
import { HOOKS, Hook } from '../engine/hook.js';
import type { RunState } from '../engine/run-state.js';
import { sharedFiles } from '../engine/published-files.js';
import { hubToken, pushFiles } from '../formats/hub/push.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { LOGGER, OPTIONS } from '../registry/tokens.js';

@HOOKS.register()
export class PushToHubHook extends Hook {
  static readonly options = {
    description: 'Uploads the last checkpoint to the Hugging Face hub when the run is done, as "diffengine push" does.',
    type: 'object',
    additionalProperties: false,
    required: ['repo_id'],
    properties: {
      repo_id: { type: 'string', pattern: '^[\\w-][\\w.-]*/[\\w-][\\w.-]*$', description: 'user/name' },
      private: { type: 'boolean', default: true, description: 'whether a new repository is for its owner alone' },
      license: { type: 'string', minLength: 1, description: 'of the base model, for the card' },
    },
  } as const satisfies OptionsSchema;
  /** After the last checkpoint and its pictures. */
  override readonly priority = 'LOWEST';

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof PushToHubHook.options>,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
  }

  /** A token that is missing is told before hours of work. */
  override async beforeRun(): Promise<void> {
    await hubToken();
  }

  override async afterTrain(run: RunState): Promise<void> {
    const checkpoint = await lastCheckpoint(run.workDir.path);
    if (checkpoint === undefined || run.signal.aborted) return;
    const { repo_id: repo, license } = this.opts;
    try {
      const files = await sharedFiles(checkpoint, repo.split('/')[1], license),
        title = `Upload with diffengine, iteration ${run.iter + 1}`;
      const url = await pushFiles({
        repo,
        files,
        title,
        isPrivate: this.opts.private,
        log: this.log,
        signal: run.signal,
      });
      this.log.info(`pushed ${files.length} files: ${url}`);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.log.warn(`${error.message}. The run is safe in ${checkpoint}: diffengine push ${checkpoint} ${repo}`);
    }
  }
}

declare module '../registry/kinds.js' {
  interface HookMap {
    PushToHubHook: typeof PushToHubHook;
  }
}
