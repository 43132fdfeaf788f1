/**
 * What the page of `diffengine ui` and its server say to each other, as JSON. `:id` is a run's id, URI-encoded.
 *
 * | request | answer |
 * | --- | --- |
 * | GET /?token=... | sets the cookie, and is the page; its script takes the token out of the address |
 * | GET /api/runs | RunSummary[], the newest first |
 * | GET /api/runs/:id | RunView |
 * | GET /api/runs/:id/scalars?from=0 | Scalars of iterations from that one on |
 * | GET /api/runs/:id/log?from=0 | LogText from that byte on; -65536: the last of them. At most 1 MiB at a time |
 * | GET /api/runs/:id/files/... | a picture of the run |
 * | GET /api/events | UiEvent as server-sent events, each as `message` |
 * | GET /api/configs | ConfigName[] that can be started |
 * | GET /api/schedulers | string[] |
 * | POST /api/runs | StartRequest; answers { id } |
 * | POST /api/runs/:id/stop | saves a checkpoint and ends; answers 202 |
 * | POST /api/runs/:id/resume | ResumeRequest; answers { id } |
 * | GET /api/drawings | Drawing[], the newest first |
 * | POST /api/drawings | DrawRequest; answers Drawing[] as queued |
 * | DELETE /api/drawings/:number | cancels it, or forgets it when it is over |
 * | GET /api/drawings/:number/picture | PNG |
 *
 * Errors are { error: string } with status 400 (the user's mistake), 403 (no token, other host or origin), 404, 409 (state).
 */
import type { RunSummary } from '../../src/runs/run-view.js';

export interface LogText {
  readonly text: string;
  /** where the next request goes on */
  readonly next: number;
}

export interface ConfigName {
  /** what `diffengine train` takes */
  readonly name: string;
  readonly source: 'built-in' | 'folder';
}

export interface StartRequest {
  readonly config: string;
  /** below the folder; default: work_dirs/<config name> */
  readonly workDir?: string;
  /** as --cfg-options takes them */
  readonly cfgOptions?: readonly string[];
}

export interface ResumeRequest {
  readonly cfgOptions?: readonly string[];
}

export interface DrawRequest {
  /** id of the run */
  readonly run: string;
  /** name of a checkpoint; null draws with the model as it was before training */
  readonly checkpoint: string | null;
  readonly prompt: string;
  readonly negativePrompt?: string;
  readonly seed?: number;
  /** pictures, with seeds from `seed` on; 1 to 16 */
  readonly count?: number;
  readonly steps?: number;
  readonly guidanceScale?: number;
  readonly guidanceRescale?: number;
  readonly width?: number;
  readonly height?: number;
  readonly scheduler?: string;
  readonly adapterScale?: number;
}

export interface Drawing {
  readonly number: number;
  readonly request: DrawRequest;
  readonly seed: number;
  readonly state: 'queued' | 'opening' | 'drawing' | 'done' | 'failed' | 'cancelled';
  /** steps done and in all */
  readonly done: number;
  readonly total: number;
  /** when it failed */
  readonly error?: string;
}

/** The page asks again for what an event names; curves and drawings come with it. */
export type UiEvent =
  | { readonly kind: 'run'; readonly run: RunSummary }
  | { readonly kind: 'gone'; readonly id: string }
  | { readonly kind: 'scalars'; readonly id: string; readonly from: number }
  | { readonly kind: 'log'; readonly id: string }
  | { readonly kind: 'view'; readonly id: string }
  | { readonly kind: 'drawing'; readonly drawing: Drawing };
