import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { inject } from 'inversify';
import { UserError } from '../base/errors.js';
import { VISBACKENDS, VisBackend, type VisImage, type VisRun } from '../engine/vis-backend.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { OPTIONS } from '../registry/tokens.js';
import { MlflowClient, type Metric } from './mlflow/client.js';

/** Which run of the tracker this work dir is, and the last step it has. */
const STATE_FILE = 'mlflow.json';
/** MLflow takes as many metrics in one request. */
const BATCH = 1000;
/** A value of a parameter has at most so many characters. */
const LONGEST_PARAM = 6000;

interface State {
  readonly tracking_uri: string;
  readonly run_id: string;
  /** steps up to this one are there */
  readonly sent: number;
}

@VISBACKENDS.register()
export class MLflowVisBackend extends VisBackend {
  static readonly options = {
    description:
      'A run of an MLflow tracking server, over its REST interface 2.0. Pictures need a server with --serve-artifacts.',
    type: 'object',
    additionalProperties: false,
    properties: {
      tracking_uri: {
        type: 'string',
        minLength: 1,
        description: 'address of the server, http://127.0.0.1:5000; default MLFLOW_TRACKING_URI',
      },
      exp_name: {
        type: 'string',
        minLength: 1,
        default: 'diffengine',
        description: 'experiment, made when it is not there',
      },
      run_name: { type: 'string', minLength: 1, description: 'default the name of the work dir' },
      tags: { type: 'object', additionalProperties: { type: 'string' }, default: {}, description: 'of the run' },
    },
  } as const satisfies OptionsSchema;
  private client: MlflowClient | undefined;
  private run: VisRun | undefined;
  private state: State | undefined;
  private artifacts = '';
  private metrics: Metric[] = [];
  private step = -1;
  /** what the server has from before this process resumed */
  private there = -1;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof MLflowVisBackend.options>) {
    super();
  }

  override async open(run: VisRun): Promise<void> {
    const uri = this.opts.tracking_uri ?? process.env['MLFLOW_TRACKING_URI'];
    if (uri === undefined || !/^https?:\/\//.test(uri))
      throw new UserError(
        `MLflowVisBackend.tracking_uri: ${uri === undefined ? 'missing' : `"${uri}" is no http address`}; give that of the server, such as http://127.0.0.1:5000, or set MLFLOW_TRACKING_URI`,
        { code: 'CONFIG_INVALID' },
      );
    this.run = run;
    const client = (this.client = new MlflowClient(uri));
    const before = run.iter > 0 ? await this.earlier(uri) : undefined;
    if (before) {
      this.state = before;
      this.there = before.sent;
      await client.setStatus(before.run_id, 'RUNNING');
      this.artifacts = (await client.run(before.run_id)).artifactUri;
      return;
    }
    const made = await client.createRun(
      await client.experiment(this.opts.exp_name),
      this.opts.run_name ?? basename(run.workDir.path),
      this.opts.tags,
    );
    this.artifacts = made.artifactUri;
    await this.remember({ tracking_uri: uri, run_id: made.id, sent: -1 });
  }

  /** A resumed run makes the same numbers again: those that are there are not sent twice. */
  override async addScalars(scalars: Readonly<Record<string, number>>, step: number, wallTime: number): Promise<void> {
    if (step > this.there)
      for (const [key, value] of Object.entries(scalars))
        this.metrics.push({ key, value, step, timestamp: Math.round(wallTime * 1000) });
    this.step = Math.max(this.step, step);
    if (this.metrics.length >= BATCH / 2) await this.flush();
  }

  override async addImage({ name, png }: VisImage, step: number): Promise<void> {
    await this.put(`${name.replaceAll('/', '_')}_${step}.png`, png);
  }

  override async addText(name: string, text: string): Promise<void> {
    await this.put(`${name}.yaml`, new TextEncoder().encode(text));
    await this.client?.logParam((this.state as State).run_id, name, text.slice(0, LONGEST_PARAM));
  }

  override async flush(): Promise<void> {
    const { client, state } = this;
    if (!client || !state || this.metrics.length === 0) return;
    for (let at = 0; at < this.metrics.length; at += BATCH)
      await client.logBatch(state.run_id, this.metrics.slice(at, at + BATCH));
    this.metrics = [];
    await this.remember({ ...state, sent: Math.max(state.sent, this.step) });
  }

  override async close(finished: boolean): Promise<void> {
    await this.flush();
    if (this.state) await this.client?.setStatus(this.state.run_id, finished ? 'FINISHED' : 'KILLED', Date.now());
  }

  private async put(name: string, bytes: Uint8Array): Promise<void> {
    // Other stores (S3, a folder of the server) take files from their own clients only.
    const proxied = /^mlflow-artifacts:\/*(.*)$/.exec(this.artifacts);
    if (proxied) await this.client?.putArtifact(`${proxied[1]}/${name}`, bytes);
  }

  private async earlier(uri: string): Promise<State | undefined> {
    const text = await readFile((this.run as VisRun).workDir.file(STATE_FILE), 'utf8').catch(() => undefined),
      state = text === undefined ? undefined : (JSON.parse(text) as State);
    return state?.tracking_uri === uri ? state : undefined;
  }

  private async remember(state: State): Promise<void> {
    this.state = state;
    await this.run?.workDir.write(STATE_FILE, `${JSON.stringify(state)}\n`);
  }
}

declare module '../registry/kinds.js' {
  interface VisBackendMap {
    MLflowVisBackend: typeof MLflowVisBackend;
  }
}
