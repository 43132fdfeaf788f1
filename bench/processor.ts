/** What the processor is, for whoever compares figures of two machines. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';

export interface Processor {
  readonly model: string;
  /** as the processor calls its maker: GenuineIntel, AuthenticAMD; unknown where the system does not tell */
  readonly vendor: string;
  /** family, model and stepping: what hypervisors hide in the name */
  readonly signature: string;
  readonly cores: number;
  /** bytes by level: L1d, L2, L3, each of one instance */
  readonly caches: Readonly<Record<string, number>>;
  /** of those that change how fast products are */
  readonly flags: readonly string[];
}

const TELLING = [
  'avx2',
  'fma',
  'avx512f',
  'avx512_vnni',
  'avx512_bf16',
  'avx512_fp16',
  'amx_tile',
  'amx_bf16',
  'amx_int8',
  'asimd',
  'sve',
  'bf16',
];
const CACHES = '/sys/devices/system/cpu/cpu0/cache';

/** @param cpuinfo text of /proc/cpuinfo @param cache a file below the folder of the first core's caches; '' where there is none */
export function processor(
  cpuinfo = read('/proc/cpuinfo'),
  cache = (file: string): string => read(`${CACHES}/${file}`),
): Processor {
  const field = (name: string): string | undefined => new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(cpuinfo)?.[1].trim();
  const flags = new Set((field('flags') ?? field('Features') ?? '').split(' '));
  const caches: Record<string, number> = {};
  for (let i = 0; cache(`index${i}/level`) !== ''; i++) {
    const type = cache(`index${i}/type`).trim();
    if (type !== 'Instruction')
      caches[`L${cache(`index${i}/level`).trim()}${type === 'Data' ? 'd' : ''}`] = bytes(
        cache(`index${i}/size`).trim(),
      );
  }
  return {
    model: field('model name') ?? cpus()[0]?.model.trim() ?? 'unknown CPU',
    vendor: field('vendor_id') ?? 'unknown',
    signature: ['cpu family', 'model', 'stepping'].map((name) => field(name) ?? '?').join('/'),
    cores: availableParallelism(),
    caches,
    flags: TELLING.filter((flag) => flags.has(flag)),
  };
}

const UNITS: Readonly<Record<string, number>> = { K: 10, M: 20, G: 30 };
/** "1024K", "32M" */
function bytes(size: string): number {
  const [, count, unit] = /^(\d+)([KMG]?)$/.exec(size) ?? [];
  return Number(count ?? 0) * 2 ** (UNITS[unit ?? ''] ?? 0);
}

/** GB/s of one thread that copies 128 MB, read and written counted: the best of five, for others use the memory, too. */
export function copyBandwidth(size = 2 ** 27): number {
  const from = new Uint8Array(size).fill(1),
    to = new Uint8Array(size).fill(2); // touched, so that no page is made while the clock runs
  const seconds = Array.from({ length: 5 }, () => {
    const start = performance.now();
    to.set(from);
    return (performance.now() - start) / 1000;
  });
  return Number(((2 * size) / Math.min(...seconds) / 1e9).toFixed(1));
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // not Linux, or not told to a guest
  }
}
