/** What differs between the devices of ONNX Runtime. Nothing else asks which device it is on. */
import type { Lowering } from '../onnx/emit.js';
import { WEBGPU } from '../onnx/webgpu.js';
import { winograd } from '../onnx/winograd.js';
import { cudaCommand } from './cuda-libraries.js';

export type DeviceName = 'cpu' | 'webgpu' | 'cuda';

export interface Device {
  /** ONNX forms in place of those of the primitives */
  readonly lowering: Lowering;
  /** Results are written to memory of ours, new values of states over the old ones where that is safe. */
  readonly overwrites: boolean;
  /** Weights are read from mapped files, as long as they are stored as they are computed with. */
  readonly mapsWeights: boolean;
  /** States lie in memory of the device between runs. */
  readonly resident: boolean;
  /** What the runtime says when the device is not there, and what to do then. */
  readonly missing?: { readonly said: RegExp; readonly advice: () => string };
}

const UNSUPPORTED = 'executionProviders\\[0\\] is unsupported';
const OR_CPU = "or compute with backend.device: 'cpu'";

export const DEVICES: Readonly<Record<DeviceName, Device>> = {
  cpu: { lowering: winograd(), overwrites: true, mapsWeights: true, resident: false },
  webgpu: {
    lowering: WEBGPU,
    overwrites: false,
    mapsWeights: false,
    resident: true,
    missing: {
      said: new RegExp(`${UNSUPPORTED}|Failed to get a WebGPU (adapter|device)`),
      advice: () =>
        `install the driver of the GPU (on Linux one for Vulkan, and libvulkan1; docs/backends.md shows one that needs no GPU), ${OR_CPU}`,
    },
  },
  cuda: {
    lowering: {},
    overwrites: false,
    mapsWeights: false,
    resident: false,
    missing: {
      said: new RegExp(`${UNSUPPORTED}|ExecutionProvider_Cuda|CUDA (failure|error)|CUDA driver|libcu|cudnn`, 'i'),
      advice: () =>
        `it needs Linux on x64, an NVIDIA driver, CUDA 12 with cuDNN 9, and ONNX Runtime's part for them, which "${cudaCommand()}" downloads; install what is missing, ${OR_CPU}`,
    },
  },
};

/** Of a GPU without 16-bit shaders, where a program asks for them. */
const NO_HALF = /requires f16 but the device does not support it/;

/** An error of the runtime in the words of a user, if it says that the device is not there, or lacks what is asked of it. */
export function missingDevice(device: DeviceName, message: string): string | undefined {
  const { missing } = DEVICES[device];
  if (missing && NO_HALF.test(message))
    return `backend.device: this ${device} device has no 16-bit shaders (shader-f16), which optim_wrapper.type: 'AmpOptimWrapper' needs; set optim_wrapper.type: 'OptimWrapper'`;
  if (!missing?.said.test(message)) return undefined;
  return `backend.device: ${device} is not available here (${lastWords(message)}); ${missing.advice()}`;
}

/** Without the place in the runtime's sources. */
const lastWords = (message: string): string =>
  message
    .split(/ was false\. |: (?=\[)/)
    .pop()
    ?.trim()
    .split('\n')[0]
    .replace(/\.$/, '') ?? message;
