/** Which TensorFlow.js runs: packages are optional, and looked for only when a program is compiled. */
import util from 'node:util';
import { UserError } from '../../base/errors.js';
import type { Logger } from '../../base/logger.js';
import type { Tfjs } from '../../tensor/primitive.js';

export type Device = 'auto' | 'gpu' | 'cpu' | 'webgpu';

export interface Runtime {
  readonly tf: Tfjs;
  /** tfjs's own name of what computes */
  readonly kind: 'tensorflow' | 'webgpu' | 'cpu';
}

export interface Loaded {
  readonly name: string;
  readonly module?: Tfjs;
  /** why it does not load; undefined: it does, or it is not installed */
  readonly failure?: string;
}

/** A package that brings TensorFlow's own library. */
export interface Native extends Loaded {
  /** of TensorFlow */
  readonly version?: string;
  readonly gpu?: boolean;
}

/** Best first. */
export const NATIVE_PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;

/** Imports a package that may not be installed. */
export async function loadPackage(name: string): Promise<Loaded> {
  try {
    const imported = (await import(name)) as Tfjs & { default?: Tfjs };
    return { name, module: imported.default ?? imported }; // tfjs packages are CommonJS
  } catch (error) {
    const { message } = error as Error; // its code is lost where a loader of the user's TypeScript is on
    return message.startsWith(`Cannot find package '${name}'`) ? { name } : { name, failure: message.split('\n')[0] };
  }
}

/** What `TfjsBackend` computes with in plain JavaScript; 51 MB that nobody else needs, so npm installs them on request only. */
export const INSTALL = 'npm install @tensorflow/tfjs-core@4.22.0 @tensorflow/tfjs-backend-cpu@4.22.0';

/** @throws UserError for a package that is not there */
async function loadRequired(name: string): Promise<Tfjs> {
  const { module, failure } = await loadPackage(name);
  if (module) return module;
  throw new UserError(
    `TfjsBackend: ${name} ${failure === undefined ? 'is not installed' : `does not load (${failure})`}; ${INSTALL}, or leave --backend out: ONNX Runtime is there`,
    { code: 'BACKEND_UNAVAILABLE' },
  );
}

/** Imports one of `NATIVE_PACKAGES` and selects its device. */
export async function loadNative(name: string): Promise<Native> {
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2'; // errors; TensorFlow's own notes are about how it was built
  mendUtil();
  const loaded = await loadPackage(name);
  if (!loaded.module) return loaded;
  try {
    await quiet(loaded.module).setBackend('tensorflow');
    const { binding, isUsingGpuDevice } = loaded.module.backend() as unknown as NodeBackend;
    return { ...loaded, version: binding.TF_Version, gpu: isUsingGpuDevice };
  } catch (error) {
    return { name, failure: (error as Error).message.split('\n')[0] };
  }
}

/** What tfjs-node's backend has beyond the common interface. */
interface NodeBackend {
  readonly binding: { readonly TF_Version: string };
  readonly isUsingGpuDevice: boolean;
}

/** tfjs-node up to 4.22 calls two functions that Node 23 took out of `util`. */
function mendUtil(): void {
  const old = util as unknown as {
    isNullOrUndefined?: (value: unknown) => boolean;
    isArray?: (value: unknown) => boolean;
  };
  old.isNullOrUndefined ??= (value) => value == null;
  old.isArray ??= Array.isArray;
}

/** @throws UserError when the device was asked for by name and cannot be had */
export async function openRuntime(device: Device, log: Logger): Promise<Runtime> {
  if (device === 'webgpu') return openWebgpu(log);
  if (device !== 'cpu') {
    const native = await openNative(device, log);
    if (native) return native;
  }
  const tf = quiet(await loadRequired('@tensorflow/tfjs-core'));
  await loadRequired('@tensorflow/tfjs-backend-cpu');
  log.info(
    `computing  with TensorFlow.js ${tf.version_core} in plain JavaScript, tens of times slower than ONNX Runtime; "diffengine doctor" says how to bring TensorFlow`,
  );
  return { tf, kind: 'cpu' };
}

async function openNative(device: 'auto' | 'gpu', log: Logger): Promise<Runtime | undefined> {
  const problems: string[] = [];
  for (const name of NATIVE_PACKAGES) {
    const { module: tf, version, gpu, failure } = await loadNative(name);
    if (tf && (gpu || device === 'auto')) {
      log.info(
        `computing  with TensorFlow ${version} through ${name} ${tf.version_core}, on the ${gpu ? 'GPU' : 'CPU'}`,
      );
      return { tf, kind: 'tensorflow' };
    }
    problems.push(
      `${name} ${tf ? `(TensorFlow ${version}) finds no GPU` : failure === undefined ? 'is not installed' : `does not load (${failure})`}`,
    );
    if (failure !== undefined && device === 'auto') log.warn(`${problems.at(-1)}; "diffengine doctor" says more`);
  }
  if (device === 'gpu')
    throw new UserError(
      `TfjsBackend.device: gpu, but ${problems.join(', ')}; see docs/backends.md, or choose auto or cpu`,
      { code: 'BACKEND_UNAVAILABLE' },
    );
  return undefined;
}

async function openWebgpu(log: Logger): Promise<Runtime> {
  const name = '@tensorflow/tfjs-backend-webgpu';
  const tf = quiet(await loadRequired('@tensorflow/tfjs-core'));
  const { module, failure } = await loadPackage(name);
  const ready = module !== undefined && (await tf.setBackend('webgpu').catch(() => false));
  if (!ready)
    throw new UserError(
      `TfjsBackend.device: webgpu, but ${module ? 'there is no WebGPU device here' : `${name} ${failure ?? 'is not installed'}`}; install it, or choose auto or cpu`,
      { code: 'BACKEND_UNAVAILABLE' },
    );
  log.info(`computing  with TensorFlow.js ${tf.version_core} on WebGPU`);
  return { tf, kind: 'webgpu' };
}

/** Without tfjs's banner about its faster packages, and without its checks of every result. */
function quiet(tf: Tfjs): Tfjs {
  tf.env().set('PROD', true);
  return tf;
}
