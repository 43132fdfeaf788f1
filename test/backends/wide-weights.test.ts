/** Large weights with 16 bits are read from a float32 copy in the cache. */
import { readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Program } from '../../src/backends/backend.js';
import { OnnxRuntimeBackend } from '../../src/backends/onnxruntime/onnxruntime-backend.js';
import { largeWidenings } from '../../src/backends/onnxruntime/wide-weights.js';
import { programMemory } from '../../src/planning/memory.js';
import { floatToBfloat16, floatToFloat16 } from '../../src/tensor/half.js';
import { floats, scalar } from '../../src/tensor/host.js';
import { cast, mul, narrow, reshape } from '../../src/tensor/ops.js';
import { input, weight } from '../../src/tensor/tensor.js';
import { Lines } from '../fixtures/engine/linear-run.js';

/** 16-bit words of one weight: 32 MiB, what is large. */
const WORDS = 2 ** 24;
/** Before the weight, as the header of a safetensors file. */
const HEADER = 6;
/** In eighths, exact in both formats. */
const valueAt = (i: number): number => (i % 251) / 8 - 9;

function weightFile(folder: string, dtype: 'float16' | 'bfloat16', words = WORDS): string {
  const file = join(folder, `${dtype}.safetensors`),
    round = dtype === 'float16' ? floatToFloat16 : floatToBfloat16;
  const period = Array.from({ length: 251 }, (_, i) => round(valueAt(i)));
  writeFileSync(
    file,
    Buffer.concat([
      Buffer.alloc(HEADER, 0x7f),
      Buffer.from(Uint16Array.from({ length: words }, (_, i) => period[i % 251]).buffer),
    ]),
  );
  return file;
}

/** The first and the last four values times x, read in two shapes. */
function program(file: string, dtype: 'float16' | 'bfloat16', words = WORDS): Program {
  const w = (shape: number[]) =>
    cast(weight({ key: 'w', file, offset: HEADER, bytes: 2 * words }, { dtype, shape }), 'float32');
  const x = input('x', []),
    first = mul(narrow(w([words]), 0, 0, 4), x),
    last = mul(narrow(reshape(w([words / 4, 4]), [words]), 0, words - 4, words), x);
  return { name: 'ends', outputs: { first, last } };
}

async function ends(
  t: Test,
  cacheDir: string | undefined,
  of: Program,
): Promise<{ values: number[]; lines: readonly string[] }> {
  const log = new Lines(),
    backend = new OnnxRuntimeBackend(
      { device: 'cpu', intra_op_num_threads: 1, graph_optimization_level: 'extended', scratch_dir: null },
      cacheDir,
      log,
    );
  t.teardown(() => backend.dispose());
  const { first, last } = await (await backend.compile(of)).run({ x: scalar(2) });
  await backend.dispose();
  return { values: [...floats(first), ...floats(last)], lines: log.lines };
}
const EXPECTED = [0, 1, 2, 3, WORDS - 4, WORDS - 3, WORDS - 2, WORDS - 1].map((i) => 2 * valueAt(i));

for (const dtype of ['float16', 'bfloat16'] as const) {
  void t.test(
    `${dtype}: the copy is made once, gives the stored values, and is made anew when the file changes`,
    async (t) => {
      const folder = t.testdir({ cache: {} }),
        cache = join(folder, 'cache'),
        file = weightFile(folder, dtype),
        copies = (): string[] => readdirSync(join(cache, 'float32'));
      const made = await ends(t, cache, program(file, dtype));
      t.strictSame(made.values, EXPECTED);
      t.match(made.lines, [
        new RegExp(`^${file}: ${dtype} weights as float32, once, into ${cache}/float32/${dtype}\\.safetensors-`),
      ]);
      t.equal(copies().length, 1);
      t.equal(statSync(join(cache, 'float32', copies()[0])).size, 2 * (WORDS * 2 + HEADER));
      const again = await ends(t, cache, program(file, dtype));
      t.strictSame([again.values, again.lines], [EXPECTED, []]);
      utimesSync(file, 1, 1);
      t.strictSame((await ends(t, cache, program(file, dtype))).values, EXPECTED);
      t.equal(copies().length, 2, 'another time of change, another copy');
    },
  );
}

void t.test('weights below 32 MiB are widened in memory, without a cache all are', async (t) => {
  const folder = t.testdir({ cache: {} }),
    words = 4096,
    small = program(weightFile(folder, 'float16', words), 'float16', words);
  t.equal(largeWidenings(small).size, 0);
  t.strictSame((await ends(t, join(folder, 'cache'), small)).values.slice(0, 4), EXPECTED.slice(0, 4));
  t.strictSame(readdirSync(join(folder, 'cache')), []);
  t.strictSame((await ends(t, undefined, program(weightFile(folder, 'float16'), 'float16'))).values, EXPECTED);
});

void t.test('where the copy cannot be written the run goes on, with a warning', async (t) => {
  const folder = t.testdir({ cache: 'a file' }),
    of = program(weightFile(folder, 'float16'), 'float16');
  const { values, lines } = await ends(t, join(folder, 'cache'), of);
  t.strictSame(values, EXPECTED);
  t.match(
    lines.at(-1),
    /^warning: .*cannot be written \(\w+\); .*\. Until then each program widens these weights in memory of its own, about 0\.1 GiB$/,
  );
});

void t.test('a plan counts such weights as mapped, small ones as copies', (t) => {
  const of = (words: number) => {
    const w = cast(
      weight({ key: 'w', file: 'w.safetensors', offset: 8, bytes: 2 * words }, { dtype: 'float16', shape: [words] }),
      'float32',
    );
    const { copies, mapped } = programMemory({ name: 'double', outputs: { y: mul(w, input('x', [])) } });
    return [copies, [...mapped]];
  };
  t.strictSame(of(WORDS), [0, [['w.safetensors:8', 4 * WORDS]]]);
  t.strictSame(of(4096), [4 * 4096, []]);
  t.end();
});
