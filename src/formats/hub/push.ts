/** Files to a repository of the Hugging Face hub. */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Interrupted, UserError } from '../../base/errors.js';
import type { Logger } from '../../base/logger.js';
import { track } from '../../base/progress.js';
import { proxiedFetch } from './proxy.js';

export interface PushFile {
  /** in the repository */
  readonly path: string;
  /** on this machine, or what it holds */
  readonly from: string | { readonly text: string };
}

export interface PushRequest {
  /** `user/name` */
  readonly repo: string;
  readonly files: readonly PushFile[];
  readonly title: string;
  /** of a new repository; one that is there stays as it is */
  readonly isPrivate: boolean;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
}

/** HF_TOKEN, or what `hf auth login` left. @throws UserError when there is none */
export async function hubToken(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const home = env['HF_HOME'] ?? join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'huggingface'),
    file = env['HF_TOKEN_PATH'] ?? join(home, 'token');
  const token = env['HF_TOKEN'] ?? (await readFile(file, 'utf8').catch(() => '')).trim();
  if (/^hf_\w+$/.test(token)) return token;
  throw new UserError(
    token === ''
      ? `push: no token for the hub; make one that may write at huggingface.co/settings/tokens, and set HF_TOKEN or write it to ${file}`
      : `push: ${env['HF_TOKEN'] === undefined ? file : 'HF_TOKEN'} is no token of the hub (they start with "hf_")`,
    { code: 'DOWNLOAD_FAILED' },
  );
}

/**
 * One commit with all files. What the hub has from an earlier try that broke off is not sent again.
 * @returns address of the commit @throws UserError saying what the hub refused; the token is in no message
 */
export async function pushFiles({ repo, files, title, isPrivate, log, signal }: PushRequest): Promise<string> {
  if (!/^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(repo))
    throw new UserError(`push: "${repo}" is no name of a repository; give user/name`);
  const accessToken = await hubToken(),
    hub = await import('@huggingface/hub'),
    hubUrl = (process.env['HF_ENDPOINT'] ?? hub.HUB_URL).replace(/\/+$/, ''),
    access = { repo: { type: 'model' as const, name: repo }, accessToken, hubUrl, fetch: await proxiedFetch() };
  const bar = track(log, { what: 'files uploaded', total: files.length });
  try {
    await hub.createRepo({ ...access, private: isPrivate }).catch((error: unknown) => {
      if (!(error instanceof hub.HubApiError && error.statusCode === 409)) throw error; // it is there
    });
    const operations = files.map(({ path, from }) => ({
      operation: 'addOrUpdate' as const,
      path,
      content: typeof from === 'string' ? pathToFileURL(from) : new Blob([from.text]),
    }));
    const done = new Map<string, number>(),
      events = hub.commitIter({ ...access, operations, title, ...(signal && { abortSignal: signal }) });
    for (let next = await events.next(); ; next = await events.next()) {
      if (next.done) return next.value?.commit.url ?? `${hubUrl}/${repo}`;
      if (next.value.event !== 'fileProgress') continue;
      done.set(next.value.path, next.value.progress);
      bar.update([...done.values()].reduce((a, b) => a + b, 0));
    }
  } catch (error) {
    if (signal?.aborted)
      throw new Interrupted('push: stopped, as asked; once more goes on where it was', { cause: signal.reason });
    throw refused(error, repo, hubUrl, accessToken, error instanceof hub.HubApiError ? error.statusCode : undefined);
  } finally {
    bar.stop();
  }
}

function refused(error: unknown, repo: string, hubUrl: string, token: string, status: number | undefined): UserError {
  const { message, cause } = error as Error,
    why = ((cause as { code?: string } | undefined)?.code ?? message).replaceAll(token, '***');
  const fix =
    status === 401 || status === 403
      ? 'the token may not write there; make one that may at huggingface.co/settings/tokens'
      : 'try again: what is there is not sent twice';
  return new UserError(`push: ${hubUrl}/${repo}: ${status === undefined ? '' : `${status}, `}${why}; ${fix}`, {
    code: 'DOWNLOAD_FAILED',
  });
}
