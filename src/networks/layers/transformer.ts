/** The transformer of SD's U-Net: self-attention, cross-attention on text states, GEGLU feed-forward. */
import { add, attention as attend, gelu, mul, narrow } from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import { linear, pixelsToTokens, tokensToPixels } from './linear.js';
import { groupNorm, layerNorm } from './norm.js';
import type { Scope } from './scope.js';

const NORM_EPS = 1e-6; // group norm of Transformer2DModel, diffusers transformer_2d.py
const LAYER_NORM_EPS = 1e-5; // torch.nn.LayerNorm default

export interface TransformerOptions {
  readonly heads: number;
  readonly layers: number;
  readonly normGroups: number;
  readonly useLinearProjection: boolean;
}

/** x [B, C, h, w], context [B, T, D] -> [B, C, h, w] */
export function transformer2d(scope: Scope, x: Tensor, context: Tensor, options: TransformerOptions): Tensor {
  const [, C, h, w] = x.shape,
    { useLinearProjection } = options;
  let y = pixelsToTokens(
    scope.child('proj_in'),
    groupNorm(scope.child('norm'), x, options.normGroups, NORM_EPS),
    C,
    useLinearProjection,
  );
  for (let i = 0; i < options.layers; i++) y = block(scope.child('transformer_blocks', i), y, context, options.heads);
  return add(tokensToPixels(scope.child('proj_out'), y, C, [h, w], useLinearProjection), x);
}

function block(scope: Scope, x: Tensor, context: Tensor, heads: number): Tensor {
  const norm = (name: string, y: Tensor): Tensor => layerNorm(scope.child(name), y, LAYER_NORM_EPS);
  const own = norm('norm1', x);
  const y = add(crossAttention(scope.child('attn1'), own, own, heads), x);
  const z = add(crossAttention(scope.child('attn2'), norm('norm2', y), context, heads), y);
  return add(feedForward(scope.child('ff'), norm('norm3', z)), z);
}

/** Queries from x [B, T, C], keys and values from context [B, S, D]. */
function crossAttention(scope: Scope, x: Tensor, context: Tensor, heads: number): Tensor {
  const C = x.shape[2];
  const project = (name: string, from: Tensor): Tensor => linear(scope.child(name), from, C, { bias: false });
  const out = attend(
    project('to_q', x),
    project('to_k', context),
    project('to_v', context),
    heads,
    (C / heads) ** -0.5,
  );
  return linear(scope.child('to_out', 0), out, C);
}

/** Shazeer, arXiv 2002.05202: value * gelu(gate), width 4 C. */
function feedForward(scope: Scope, x: Tensor): Tensor {
  const C = x.shape[2],
    last = x.shape.length - 1;
  const both = linear(scope.child('net', 0, 'proj'), x, 8 * C);
  const hidden = mul(narrow(both, last, 0, 4 * C), gelu(narrow(both, last, 4 * C, 8 * C)));
  return linear(scope.child('net', 2), hidden, C);
}
