/**
 * Graph passes of ONNX Runtime (1.30) that find nothing to do in our programs, which are simplified before they are emitted
 * and have fused operators from the start. Each walks the whole graph all the same: 1.4 s of 3.3 s for toyland's training
 * step of 11,700 nodes. What is left: constants are folded (weights of 16 bits widened), Sigmoid and Mul become QuickGelu,
 * many slices a split. A name that a version does not know is ignored. A test compares the operators of optimised models.
 */
export const IDLE_PASSES = [
  'AttentionFusion', 'BiasDropoutFusion', 'BiasGeluFusion', 'BiasSkipLayerNormFusion', 'BiasSoftmaxFusion', 'CommonSubexpressionElimination',
  'ConstantFoldingDQ', 'ConstantSharing', 'ConvActivationFusion', 'ConvAddActivationFusion', 'DQMatMulNBitsFusion', 'DoubleQDQPairsRemover',
  'DynamicQuantizeMatMulFusion', 'EmbedLayerNormFusion', 'EnsureUniqueDQForNodeUnit', 'FastGeluFusion', 'GatherToSliceFusion',
  'GeluFusionL1', 'GeluFusionL2', 'GemmActivationFusion', 'GqaValueLayoutTransformer', 'GroupQueryAttentionFusion', 'GroupQueryAttentionPreNormFusion',
  'LabelEncoderFusion', 'LayerNormFusionL1', 'LayerNormFusionL2', 'MatMulActivationFusion', 'MatMulAddFusion', 'MatMulIntegerToFloatFusion',
  'MatMulNBitsFusion', 'MatMulNBitsMlpFusion', 'MatMulNBitsQkvFusion', 'MatMulScaleFusion', 'MatmulTransposeFusion', 'QDQFinalCleanupTransformer',
  'QDQPropagationTransformer', 'QDQS8ToU8Transformer', 'QDQSelectorActionTransformer', 'ReshapeFusion', 'SimplifiedLayerNormFusion', 'SkipLayerNormFusion',
  'TransposeOptimizer', 'WeightBiasQuantization',
] as const;
