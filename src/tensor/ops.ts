/** Every primitive and the functions composed of them, for layers and losses. */
export * from './ops/elementwise.js';
export * from './ops/max-last.js';
export * from './ops/reduce.js';
export * from './ops/shape.js';
export * from './ops/sum-expand.js';
export * from './ops/matmul.js';
export * from './ops/conv.js';
export * from './ops/layer-norm.js';
export * from './ops/gather.js';
export * from './ops/attention.js';
export * from './ops/recompute.js';
export * from './ops/stop-gradient.js';
export * from './ops/dequantize.js';
