import { readFile } from 'node:fs/promises';
import t from 'tap';
import { clipText, parseClipTextConfig, pooledPosition, type ClipTextConfig } from '../../src/networks/clip-text.js';
import type { RawConfig } from '../../src/networks/component-config.js';
import { FrozenSource } from '../../src/formats/frozen-source.js';
import { Scope } from '../../src/networks/layers/scope.js';
import { recorded, recordText } from '../../src/networks/record.js';
import { LAYOUTS } from '../../src/models/random-model.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { floats, int32 } from '../../src/tensor/host.js';
import { input } from '../../src/tensor/tensor.js';
import { evaluate, onnxRuntime, TINY, total } from '../fixtures/networks/networks.js';
import { relativeError } from '../golden.js';

const backend = onnxRuntime(t);

void t.test("Stable Diffusion's text encoders have the published numbers of parameters", (t) => {
  const count = (raw: RawConfig): number =>
    total(recorded((s) => recordText(s, parseClipTextConfig(raw, 'config.json'))));
  t.equal(count(LAYOUTS['sd15'].text), 123_060_480, 'CLIP ViT-L/14');
  t.equal(
    count({
      hidden_size: 1024,
      intermediate_size: 4096,
      num_hidden_layers: 23,
      num_attention_heads: 16,
      hidden_act: 'gelu',
    }),
    340_387_840,
    'OpenCLIP ViT-H/14 without its last layer',
  );
  t.end();
});

void t.test("fields that older files lack have transformers' defaults, in text_config too", (t) => {
  const defaults = {
    hiddenSize: 512,
    heads: 8,
    intermediateSize: 2048,
    layers: 12,
    maxPositions: 77,
    vocabSize: 49408,
    normEps: 1e-5,
    activation: 'quick_gelu',
    eosTokenId: 49407,
  };
  t.strictSame(parseClipTextConfig({}, 'x'), defaults);
  t.strictSame(
    parseClipTextConfig(
      {
        text_config: { hidden_size: 768, num_attention_heads: 12, num_beams: 1, id2label: { 0: 'LABEL_0' } },
        vision_config: {},
      },
      'x',
    ),
    { ...defaults, hiddenSize: 768, heads: 12 },
  );
  t.end();
});

void t.test('a field or value that is not known is refused by name', (t) => {
  const refused = (raw: RawConfig, message: string | RegExp): void =>
    void t.throws(() => parseClipTextConfig(raw, 'text_encoder/config.json'), { name: 'UserError', message });
  refused(
    { hidden_act: 'relu' },
    'text_encoder/config.json: hidden_act = "relu" is not supported; supported: "quick_gelu", "gelu"',
  );
  refused({ model_type: 'xlm-roberta' }, /model_type = "xlm-roberta" is not supported/);
  refused({ architectures: ['T5EncoderModel'] }, /architectures = \["T5EncoderModel"\] is not supported/);
  refused({ use_attention_mask: true }, /use_attention_mask = true is not supported/);
  refused(
    { rope_theta: 10000 },
    'text_encoder/config.json: unknown field "rope_theta" = 10000; it may change the model, so it is not ignored',
  );
  refused({ hidden_size: 100 }, 'text_encoder/config.json: hidden_size 100 is not a multiple of num_attention_heads 8');
  refused(
    { num_hidden_layers: '12' },
    'text_encoder/config.json: num_hidden_layers = "12" is not supported; it must be a whole number from 1',
  );
  t.end();
});

void t.test('the state of the end token stands for the text', (t) => {
  const config = (eosTokenId: number): ClipTextConfig => ({ ...parseClipTextConfig({}, 'x'), eosTokenId });
  t.equal(pooledPosition([49406, 320, 1125, 49407, 49407], config(49407)), 3);
  t.equal(pooledPosition([49406, 320, 1125, 49407, 0, 0], config(2)), 3, 'the largest id, for files that give 2');
  t.equal(pooledPosition([8, 5, 9, 6], config(5)), 1);
  t.end();
});

void t.test('a token sees itself and what is before it, so a text of fewer tokens has the same states', async (t) => {
  const config = parseClipTextConfig(
    JSON.parse(await readFile(`${TINY}/text_encoder/config.json`, 'utf8')) as RawConfig,
    'config.json',
  );
  const scope = new Scope(new FrozenSource(await openSafetensors(`${TINY}/text_encoder/model.safetensors`)));
  const run = async (ids: readonly number[]): Promise<Float32Array> => {
    const { lastHiddenState: out } = clipText(scope, input('ids', [1, ids.length], 'int32'), config);
    return floats((await evaluate(backend, { out }, { ids: int32(ids, [1, ids.length]) }))['out']);
  };
  const long = Array.from({ length: 77 }, (_, i) => (i * 37) % 500),
    other = long.map((id, i) => (i < 5 ? id : 499 - id));
  const whole = await run(long),
    width = 5 * config.hiddenSize;
  t.ok(relativeError(await run(long.slice(0, 5)), whole.subarray(0, width)) < 1e-6);
  const changed = await run(other);
  t.ok(relativeError(changed.subarray(0, width), whole.subarray(0, width)) < 1e-6, 'later tokens do not matter');
  t.ok(relativeError(changed.subarray(width), whole.subarray(width)) > 0.1);
  t.throws(() => clipText(scope, input('ids', [1, 78], 'int32'), config), {
    message: 'clip text: 78 tokens, the model takes 77',
  });
});
