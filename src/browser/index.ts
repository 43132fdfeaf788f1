/** `import { loadOnnxPipeline } from 'diffengine/browser'`: draws with what `export-onnx` wrote. Needs nothing of Node. */
export { loadOnnxPipeline, OnnxPipeline } from './onnx-pipeline.js';
export type { BrowserDrawOptions, OnnxPipelineOptions } from './draw-options.js';
export type { Folder, ReadFile } from './files.js';
export type { OnnxRuntime, RuntimeSession, RuntimeTensor } from './runtime.js';
export { BrowserPicture } from './picture.js';
export { ClipTokenizer } from '../formats/tokenizers/clip-tokenizer.js';
export { schedulerFromConfig } from '../sampling/schedulers/from-config.js';
export { denoise, type DenoiseLoop } from '../sampling/denoise.js';
export { Interrupted, UserError, type ErrorCode } from '../base/errors.js';
