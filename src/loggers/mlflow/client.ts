/** MLflow's REST interface 2.0 (mlflow.org/docs/latest/rest-api.html), as far as a run needs it. */
import { UserError } from '../../base/errors.js';

export interface Metric {
  readonly key: string;
  readonly value: number;
  /** milliseconds since 1970 */
  readonly timestamp: number;
  readonly step: number;
}

export interface MlflowRun {
  readonly id: string;
  readonly artifactUri: string;
}

interface RunAnswer {
  readonly run: { readonly info: { readonly run_id: string; readonly artifact_uri: string } };
}

export class MlflowClient {
  private readonly address: string;

  /** Who may write: MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. */
  constructor(address: string) {
    this.address = address.replace(/\/+$/, '');
  }

  /** @returns its id; made when it is not there */
  async experiment(name: string): Promise<string> {
    const found = await this.ask<{ experiment: { experiment_id: string } }>(
      'GET',
      `experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`,
      undefined,
      'RESOURCE_DOES_NOT_EXIST',
    );
    if (found) return found.experiment.experiment_id;
    return (await this.post<{ experiment_id: string }>('experiments/create', { name })).experiment_id;
  }

  async createRun(experiment: string, name: string, tags: Readonly<Record<string, string>>): Promise<MlflowRun> {
    const list = Object.entries(tags).map(([key, value]) => ({ key, value }));
    return runOf(
      await this.post('runs/create', { experiment_id: experiment, run_name: name, start_time: Date.now(), tags: list }),
    );
  }

  async run(id: string): Promise<MlflowRun> {
    return runOf((await this.ask<RunAnswer>('GET', `runs/get?run_id=${encodeURIComponent(id)}`)) as RunAnswer);
  }

  async logBatch(id: string, metrics: readonly Metric[]): Promise<void> {
    // JSON has no NaN; the server reads the word.
    const written = metrics.map((m) => ({ ...m, value: Number.isFinite(m.value) ? m.value : String(m.value) }));
    await this.post('runs/log-batch', { run_id: id, metrics: written });
  }

  async logParam(id: string, key: string, value: string): Promise<void> {
    await this.post('runs/log-parameter', { run_id: id, key, value });
  }

  async setStatus(id: string, status: 'RUNNING' | 'FINISHED' | 'KILLED', endTime?: number): Promise<void> {
    await this.post('runs/update', { run_id: id, status, ...(endTime === undefined ? {} : { end_time: endTime }) });
  }

  /** @param path of the artifact below the server's root */
  async putArtifact(path: string, bytes: Uint8Array): Promise<void> {
    const answer = await this.send(
      `/api/2.0/mlflow-artifacts/artifacts/${path.split('/').map(encodeURIComponent).join('/')}`,
      {
        method: 'PUT',
        body: bytes as Uint8Array<ArrayBuffer>,
      },
    );
    if (!answer.ok) throw await this.refused(answer, path);
  }

  private async post<T>(path: string, body: object): Promise<T> {
    return (await this.ask<T>('POST', path, body)) as T;
  }

  /** @param absent code of the server that means: not there */
  private async ask<T>(method: string, path: string, body?: object, absent?: string): Promise<T | undefined> {
    const answer = await this.send(`/api/2.0/mlflow/${path}`, {
      method,
      ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    if (answer.ok) return (await answer.json()) as T;
    const text = await answer.clone().text();
    if (absent !== undefined && text.includes(absent)) return undefined;
    throw await this.refused(answer, path);
  }

  private async send(path: string, init: RequestInit): Promise<Response> {
    const {
      MLFLOW_TRACKING_TOKEN: token,
      MLFLOW_TRACKING_USERNAME: user,
      MLFLOW_TRACKING_PASSWORD: pass,
    } = process.env;
    const basic = user === undefined ? undefined : `Basic ${Buffer.from(`${user}:${pass ?? ''}`).toString('base64')}`,
      authorization = token === undefined ? basic : `Bearer ${token}`;
    const headers = { ...(init.headers as Record<string, string>), ...(authorization && { authorization }) };
    return fetch(`${this.address}${path}`, { ...init, headers, signal: AbortSignal.timeout(30_000) }).catch(
      (error: Error) => {
        const why = (error.cause as { code?: string } | undefined)?.code ?? error.message;
        throw new UserError(`${this.address}: the MLflow server cannot be reached (${why}); is it running?`, {
          code: 'DOWNLOAD_FAILED',
          cause: error,
        });
      },
    );
  }

  private async refused(answer: Response, path: string): Promise<UserError> {
    const text = (await answer.text()).slice(0, 300);
    return new UserError(`${this.address}: MLflow answers ${answer.status} to ${path.split('?')[0]}: ${text}`, {
      code: 'DOWNLOAD_FAILED',
    });
  }
}

const runOf = ({ run: { info } }: RunAnswer): MlflowRun => ({ id: info.run_id, artifactUri: info.artifact_uri });
