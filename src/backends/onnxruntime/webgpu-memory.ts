/** Moves tensors into and out of the memory of the GPU, by programs that hand on what they are given: the binding of Node has no copy of its own. */
import * as ort from 'onnxruntime-node';
import type { DType } from '../../tensor/host.js';
import { encodeModel } from '../onnx/proto.js';

type Place = 'cpu' | 'gpu-buffer';

export class WebgpuMemory {
  private readonly copiers = new Map<string, Promise<ort.InferenceSession>>();

  /** @returns a tensor on the device; the caller disposes of it */
  upload = (tensor: ort.Tensor): Promise<ort.Tensor> => this.copy(tensor, 'gpu-buffer');
  download = (tensor: ort.Tensor): Promise<ort.Tensor> => this.copy(tensor, 'cpu');

  private async copy(x: ort.Tensor, place: Place): Promise<ort.Tensor> {
    const key = `${x.type} ${place}`,
      copier = this.copiers.get(key) ?? open(x.type as DType, place);
    this.copiers.set(key, copier);
    return (await (await copier).run({ x }))['y'];
  }
}

/** For tensors of any rank and size. */
function open(dtype: DType, place: Place): Promise<ort.InferenceSession> {
  const nodes = [{ opType: 'Identity', domain: '', name: 'copy', input: ['x'], output: ['y'], attribute: [] }];
  const model = encodeModel({
    name: 'copy',
    nodes,
    initializers: [],
    inputs: [{ name: 'x', dtype }],
    outputs: [{ name: 'y', dtype }],
  });
  return ort.InferenceSession.create(model, {
    executionProviders: ['webgpu'],
    preferredOutputLocation: { y: place },
    logSeverityLevel: 4,
  });
}
