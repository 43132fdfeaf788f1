/** Classifier-free guidance and its rescaling: Lin et al., arXiv 2305.08891, equations 15 and 16; diffusers' `rescale_noise_cfg`. */
import t from 'tap';
import { Rng } from '../../src/base/rng.js';
import { loadComponents } from '../../src/components.js';
import { stack, type Guidance } from '../../src/sampling/diffusion-pipeline.js';
import { Renderer } from '../../src/sampling/renderer.js';
import { float32 } from '../../src/tensor/host.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { onnxRuntime } from '../fixtures/networks/networks.js';
import { relativeError } from '../golden.js';

await loadComponents();

/** As torch's: over one element less. */
function std(values: Float32Array): number {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / (values.length - 1));
}

void t.test('the guided prediction takes on the spread of the positive one, as far as asked', async (t) => {
  const backend = onnxRuntime(t);
  const renderer = await Renderer.open('package:assets/toyland-small-sd', [], backend, new Lines());
  t.teardown(() => renderer.dispose());
  const { pipeline, executor } = renderer,
    sample = float32(new Rng(3).stream('start').normals(4 * 16 * 16), [1, 4, 16, 16]);
  const [negative, positive] = [
    await pipeline.encodeText(executor, '', 'base'),
    await pipeline.encodeText(executor, 'a photo of a red dog in the snow', 'base'),
  ];
  const alone = (text: typeof positive) =>
    pipeline.predict(executor, sample, 700, stack([text]), { guidance: 1 }, 'base');
  const guided = (guidance: Guidance) =>
    pipeline.predict(executor, sample, 700, stack([negative, positive]), guidance, 'base');
  const [without, withText] = [await alone(negative), await alone(positive)];
  const plain = without.map((n, i) => n + 4 * (withText[i] - n));
  t.ok(std(plain) / std(withText) > 1.02, 'guidance widens the spread, so that there is something to draw back');
  for (const rescale of [0, 0.3, 0.7, 1]) {
    const back = plain.map((v) => v * (std(withText) / std(plain))),
      expected = plain.map((v, i) => rescale * back[i] + (1 - rescale) * v);
    const error = relativeError(await guided({ guidance: 4, rescale }), expected);
    t.ok(error < 1e-5, `${rescale}: ${error.toExponential(1)}`);
  }
  t.strictSame(await guided({ guidance: 4 }), await guided({ guidance: 4, rescale: 0 }), 'none by default');
});
