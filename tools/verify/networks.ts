/** Text encoder, VAE, U-Nets and the timestep embedding, block by block. */
import { clipFinalNorm, clipText, pooledPosition } from '../../src/networks/clip-text.js';
import { Scope } from '../../src/networks/layers/scope.js';
import { timestepMlp, timestepSinusoid } from '../../src/networks/layers/timestep-embedding.js';
import { unet } from '../../src/networks/unet.js';
import { vaeDecode, vaeEncode } from '../../src/networks/vae.js';
import { floats, type HostTensor } from '../../src/tensor/host.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { asFloats, leaf, readPythonJson, toInt32, toNumbers, type Golden } from './context.js';
import { LIMITS } from './limits.js';

/** Runs a graph once. */
export async function evaluate(
  golden: Golden,
  name: string,
  outputs: Record<string, Tensor>,
  feeds: Record<string, HostTensor>,
): Promise<Record<string, HostTensor>> {
  const program = await golden.backend.compile({ name, outputs });
  const results = await program.run(feeds);
  await program.dispose();
  return results;
}

/** Prefixes `case0`, `case1`, ... of a reference file. */
const casesOf = (names: Iterable<string>): string[] => [...new Set([...names].map((n) => n.split('/')[0]))].sort();

export async function checkUnet(golden: Golden, file: string, kind: string): Promise<void> {
  const { config, source } = await golden.unet(kind),
    reference = await golden.reference(file);
  for (const prefix of casesOf(reference.entries.keys())) {
    const get = (name: string): Promise<HostTensor> => reference.read(`${prefix}/${name}`);
    const feeds = {
      sample: await get('sample'),
      timesteps: asFloats(await get('timesteps')),
      text: await get('encoder_hidden_states'),
    };
    const { out, taps } = unet(
      new Scope(source),
      {
        sample: leaf('sample', feeds.sample),
        timesteps: leaf('timesteps', feeds.timesteps),
        encoderHiddenStates: leaf('text', feeds.text),
      },
      config,
    );
    const wanted = [...reference.entries.keys()].filter((n) => n.startsWith(`${prefix}/act.`));
    const results = await evaluate(golden, file, { out, ...taps }, feeds);
    golden.report.rel(`${prefix}/out`, floats(results['out']), floats(await get('out')), LIMITS.network);
    for (const name of wanted) {
      const tap = results[name.slice(`${prefix}/act.`.length)];
      if (tap) golden.report.rel(name, floats(tap), floats(await reference.read(name)), LIMITS.network);
      else golden.report.missing(name);
    }
  }
}

export async function checkVae(golden: Golden, file: string): Promise<void> {
  const { config, source } = await golden.vae(),
    reference = await golden.reference(file);
  for (const prefix of casesOf(reference.entries.keys())) {
    const get = (name: string): Promise<HostTensor> => reference.read(`${prefix}/${name}`);
    const feeds = { image: await get('image'), latents: await get('latents_for_decode(unscaled)') };
    const taps: Record<string, Tensor> = {};
    const { mean, logvar } = vaeEncode(new Scope(source), leaf('image', feeds.image), config, taps);
    const decoded = vaeDecode(new Scope(source), leaf('latents', feeds.latents), config, taps);
    const results = await evaluate(golden, file, { mean, logvar, decoded, ...taps }, feeds);
    const eps = floats(await get('eps')),
      deviation = floats(results['logvar']);
    const sample = floats(results['mean']).map((m, i) => m + Math.exp(0.5 * deviation[i]) * eps[i]);
    for (const name of ['mean', 'logvar', 'decoded'])
      golden.report.rel(`${prefix}/${name}`, floats(results[name]), floats(await get(name)), LIMITS.network);
    golden.report.rel(`${prefix}/sample`, sample, floats(await get('sample')), LIMITS.network);
    for (const name of [...reference.entries.keys()].filter((n) => n.startsWith(`${prefix}/act.`))) {
      const tap = results[name.slice(`${prefix}/act.`.length)];
      if (tap) golden.report.rel(name, floats(tap), floats(await reference.read(name)), LIMITS.network);
      else golden.report.missing(name);
    }
  }
}

export async function checkTextEncoder(golden: Golden, file: string): Promise<void> {
  const { config, source } = await golden.text(),
    reference = await golden.reference(file);
  const ids = toInt32(await reference.read('input_ids')),
    [, T] = ids.shape;
  const { lastHiddenState, hiddenStates } = clipText(new Scope(source), leaf('ids', ids), config);
  const skips = Object.fromEntries(
    hiddenStates.map((h, i) => [`skip${hiddenStates.length - i}`, clipFinalNorm(new Scope(source), h, config)]),
  );
  const results = await evaluate(
    golden,
    file,
    { last: lastHiddenState, ...Object.fromEntries(hiddenStates.map((h, i) => [`hidden${i}`, h])), ...skips },
    { ids },
  );
  const width = config.hiddenSize,
    rows = T * width;
  const row = (t: HostTensor, i: number): Float32Array => floats(t).subarray(i * rows, (i + 1) * rows);
  for (const name of reference.entries.keys()) {
    if (name === 'input_ids') continue;
    const expected = floats(await reference.read(name));
    const hidden = /^hidden_states\.(\d+)\/prompt(\d+)$/.exec(name),
      skip = /^clip_skip_(\d+)\//.exec(name);
    if (name === 'last_hidden_state') golden.report.rel(name, floats(results['last']), expected, LIMITS.network);
    else if (hidden)
      golden.report.rel(name, row(results[`hidden${hidden[1]}`], Number(hidden[2])), expected, LIMITS.network);
    else if (skip) golden.report.rel(name, row(results[`skip${skip[1]}`], 0), expected, LIMITS.network);
    else if (name === 'pooler_output')
      golden.report.rel(name, pooled(ids, results['last'], config), expected, LIMITS.network);
    else golden.report.missing(name);
  }
}

function pooled(ids: HostTensor, last: HostTensor, config: Parameters<typeof pooledPosition>[1]): number[] {
  const [B, T] = ids.shape,
    D = config.hiddenSize,
    states = floats(last),
    list = toNumbers(ids);
  return Array.from({ length: B }, (_, b) => {
    const at = (b * T + pooledPosition(list.slice(b * T, (b + 1) * T), config)) * D;
    return Array.from(states.subarray(at, at + D));
  }).flat();
}

export async function checkTimestepEmbedding(golden: Golden, file: string): Promise<void> {
  const reference = await golden.reference(file),
    timesteps = asFloats(await reference.read('timesteps'));
  const { config, source } = await golden.unet('base');
  for (const [name, { shape }] of reference.entries) {
    if (name === 'timesteps') continue;
    const mlp = name.startsWith('time_embedding_mlp');
    const sinusoid = timestepSinusoid(
      leaf('t', timesteps),
      mlp ? config.blockOutChannels[0] : shape[1],
      config.flipSinToCos,
      config.freqShift,
    );
    const out = mlp ? timestepMlp(new Scope(source).child('time_embedding'), sinusoid, config.timeEmbedDim) : sinusoid;
    const results = await evaluate(golden, file, { out }, { t: timesteps });
    const expected = floats(await reference.read(name));
    if (mlp) golden.report.rel(name, floats(results['out']), expected, LIMITS.network);
    else
      golden.report.abs(
        name,
        floats(results['out']),
        expected,
        LIMITS.angleUlps * 2 ** -24 * Math.max(1, ...floats(timesteps)),
      );
  }
}

export async function checkTokenizer(golden: Golden): Promise<void> {
  const { rows, fast_rows: fast } = readPythonJson(`${golden.folder}/reference/tokenizer.json`) as unknown as {
    rows: { text: string; input_ids: number[] }[];
    fast_rows?: { i: number; input_ids: number[] }[];
  };
  const tokenizer = await golden.tokenizer();
  rows.forEach(({ text, input_ids: ids }, i) => {
    const expected = fast?.find((f) => f.i === i)?.input_ids ?? ids;
    golden.report.exact(`row ${i} ${JSON.stringify(text.slice(0, 30))}`, [...tokenizer.encode(text).ids], expected);
  });
}
