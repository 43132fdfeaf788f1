/** What a run says of the process that made it, in `environment.json` of its work dir. Types alone: a page uses them, too. */

/** Who made the run, to make it again. Written by each start of a run, and once more when it ends. */
export interface RunEnvironment {
  /** The command line, without this machine's paths to Node and the package. */
  readonly command: string;
  /** version of the package */
  readonly diffengine: string;
  readonly node: string;
  /** such as `linux x64` */
  readonly platform: string;
  readonly cpu: string;
  /** logical cores that this process may use */
  readonly cores: number;
  /** GiB */
  readonly memory: number;
  /** what computed, such as `onnxruntime cpu` */
  readonly backend: string;
  /** seconds since 1970 */
  readonly started: number;
  /** absent: it goes on, or was killed */
  readonly end?: RunEnd;
}

export interface RunEnd {
  /** seconds since 1970 */
  readonly at: number;
  /** `done`: all iterations, or early stopping. `stopped`: by a signal. */
  readonly how: 'done' | 'stopped' | 'failed';
  /** of a failed run: its message */
  readonly error?: string;
}
