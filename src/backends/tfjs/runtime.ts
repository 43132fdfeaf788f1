/** Which TensorFlow.js runs: packages are optional, and looked for only when a program is compiled. */
import { UserError } from '../../errors.js';
import type { Logger } from '../../registry/tokens.js';
import type { Tfjs } from '../../tensor/primitive.js';

export type Device = 'auto' | 'gpu' | 'cpu' | 'webgpu';

export interface Runtime {
  readonly tf: Tfjs;
  /** tfjs's own name of what computes */
  readonly kind: 'tensorflow' | 'webgpu' | 'cpu';
}

/** How a package can fail to load, apart from not being there. */
export interface Loaded {
  readonly name: string;
  readonly module?: Tfjs;
  /** undefined: not installed */
  readonly failure?: string;
}

/** Packages that bring TensorFlow's own library, best first. */
export const NATIVE_PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;

/** Imports a package that may not be installed. */
export async function loadPackage(name: string): Promise<Loaded> {
  try {
    const imported = (await import(name)) as Tfjs & { default?: Tfjs };
    return { name, module: imported.default ?? imported }; // tfjs packages are CommonJS
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ERR_MODULE_NOT_FOUND' && message.includes(`'${name}'`) ? { name } : { name, failure: message.split('\n')[0] };
  }
}

/** @throws UserError when the device was asked for by name and cannot be had */
export async function openRuntime(device: Device, log: Logger): Promise<Runtime> {
  if (device === 'webgpu') return openWebgpu(log);
  if (device !== 'cpu') {
    const native = await openNative(device, log);
    if (native) return native;
  }
  const tf = quiet((await loadPackage('@tensorflow/tfjs-core')).module as Tfjs);
  await import('@tensorflow/tfjs-backend-cpu');
  log.info(`computing  with TensorFlow.js ${tf.version_core} in plain JavaScript, hundreds of times slower than ONNX Runtime; "diffengine doctor" says how to bring TensorFlow`);
  return { tf, kind: 'cpu' };
}

/** tfjs-node-gpu, else tfjs-node unless a GPU was asked for. */
async function openNative(device: 'auto' | 'gpu', log: Logger): Promise<Runtime | undefined> {
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2'; // errors; TensorFlow's own notes are about how it was built
  const problems: string[] = [];
  for (const name of device === 'gpu' ? NATIVE_PACKAGES.slice(0, 1) : NATIVE_PACKAGES) {
    const { module, failure } = await loadPackage(name);
    if (module) {
      const tf = quiet(module);
      await tf.setBackend('tensorflow');
      const { binding, isUsingGpuDevice } = tf.backend() as unknown as NodeBackend;
      log.info(`computing  with TensorFlow ${binding.TF_Version} through ${name} ${tf.version_core}, on the ${isUsingGpuDevice ? 'GPU' : 'CPU'}`);
      return { tf, kind: 'tensorflow' };
    }
    problems.push(`${name} ${failure === undefined ? 'is not installed' : `does not load: ${failure}`}`);
    if (failure !== undefined && device === 'auto') log.warn(`${problems.at(-1)}; "diffengine doctor" says more`);
  }
  if (device === 'gpu') throw new UserError(`TfjsBackend.device: gpu, but ${problems.join(', ')}; install it (see docs/backends.md), or choose auto or cpu`);
  return undefined;
}

/** What tfjs-node's backend has beyond the common interface. */
interface NodeBackend {
  readonly binding: { readonly TF_Version: string };
  readonly isUsingGpuDevice: boolean;
}

async function openWebgpu(log: Logger): Promise<Runtime> {
  const name = '@tensorflow/tfjs-backend-webgpu';
  const tf = quiet((await loadPackage('@tensorflow/tfjs-core')).module as Tfjs);
  const { module, failure } = await loadPackage(name);
  const ready = module !== undefined && (await tf.setBackend('webgpu').catch(() => false));
  if (!ready) throw new UserError(`TfjsBackend.device: webgpu, but ${module ? 'there is no WebGPU device here' : `${name} ${failure ?? 'is not installed'}`}; install it, or choose auto or cpu`);
  log.info(`computing  with TensorFlow.js ${tf.version_core} on WebGPU`);
  return { tf, kind: 'webgpu' };
}

/** Without tfjs's banner about its faster packages, and without its checks of every result. */
function quiet(tf: Tfjs): Tfjs {
  tf.env().set('PROD', true);
  return tf;
}
