import { InvalidArgumentError, Option, type Command } from 'commander';
import type { DeviceName } from '../../src/backends/onnxruntime/devices.js';
import type { Diagnosing, Finding } from '../../src/backends/backend.js';

export function register(program: Command): void {
  program
    .command('doctor')
    .description('say what is installed, what computes, and what to do about what is missing')
    .option(
      '--link-tensorflow <folder>',
      'build the addon of an installed tfjs-node against this TensorFlow package (Linux)',
    )
    .addOption(
      new Option('--check <device>', 'compare what a device computes with the reference and the CPU (minutes)').choices(
        ['cpu', 'webgpu', 'cuda'] satisfies DeviceName[],
      ),
    )
    .option('--device-id <n>', 'which of several cuda devices', whole)
    .addHelpText(
      'after',
      `
Examples:
  diffengine doctor
  diffengine doctor --check webgpu
  diffengine doctor --check cuda --device-id 1
  diffengine doctor --link-tensorflow .venv/lib/python3.12/site-packages/tensorflow`,
    )
    .action(doctor);
}

interface DoctorOptions {
  readonly linkTensorflow?: string;
  readonly check?: DeviceName;
  readonly deviceId?: number;
}

async function doctor({ linkTensorflow: folder, check, deviceId }: DoctorOptions): Promise<void> {
  if (deviceId !== undefined && check !== 'cuda') {
    const { UserError } = await import('../../src/base/errors.js');
    throw new UserError(
      `--device-id ${deviceId}: only cuda devices have numbers; add --check cuda. WebGPU takes the adapter that its driver offers first`,
    );
  }
  if (check !== undefined) return checkDevice(check, deviceId);
  if (folder !== undefined) {
    const { linkTensorflow } = await import('../../src/backends/tfjs/link-tensorflow.js');
    console.log(`linked: ${await linkTensorflow(folder, console.log)}`);
    return;
  }
  const { loadComponents } = await import('../../src/components.js');
  const { BACKENDS } = await import('../../src/backends/backend.js');
  print('diffengine', await machine());
  await loadComponents();
  for (const name of BACKENDS.names()) {
    const backend = BACKENDS.get(name) as unknown as Partial<Diagnosing>;
    if (backend.diagnose) print(name, await backend.diagnose());
  }
}

/** Prints each line as it is known; exit code 1 when one does not hold. */
async function checkDevice(device: DeviceName, deviceId: number | undefined): Promise<void> {
  const { loadComponents } = await import('../../src/components.js');
  const { checkDevice: check, verdict } = await import('../../src/checking/check-device.js');
  const { resolvePackagePath } = await import('../../src/base/package-path.js');
  const { BACKENDS } = await import('../../src/backends/backend.js');
  await loadComponents();
  const runtime = BACKENDS.get('OnnxRuntimeBackend') as unknown as Diagnosing;
  print('diffengine', [...(await machine()), ...(await runtime.diagnose()), await card(device, deviceId)]);
  console.log(`check of ${device}${deviceId === undefined ? '' : ` ${deviceId}`}`);
  const checks = [];
  for await (const one of check(device, deviceId, resolvePackagePath('package:assets/tiny-random-sd'))) {
    checks.push(one);
    console.log(`  ${one.isGood === undefined ? '    ' : one.isGood ? 'ok  ' : 'FAIL'} ${one.what}: ${one.found}`);
  }
  console.log(`verdict: ${verdict(checks)}`);
  if (checks.some(({ isGood }) => isGood === false)) process.exitCode = 1;
}

/** The device's name, where something tells it. */
async function card(device: DeviceName, deviceId = 0): Promise<Finding> {
  const { cpus } = await import('node:os');
  const { spawnSync } = await import('node:child_process');
  const what = 'device';
  if (device === 'cpu') return { what, found: cpus()[0]?.model.trim() ?? 'unknown' };
  const query = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader', '-i', String(deviceId)];
  const { status, stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8' });
  const driver = process.env['VK_ICD_FILENAMES'] ?? process.env['VK_DRIVER_FILES'];
  if (status === 0 && driver === undefined) return { what, found: stdout.trim() };
  return { what, found: driver === undefined ? 'the first that the driver offers' : `of ${driver}` };
}

function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('not a whole number from 0.');
  return Number(text);
}

async function machine(): Promise<Finding[]> {
  const { availableParallelism, totalmem } = await import('node:os');
  const { packageVersion } = await import('../../src/base/version.js');
  const gib = (totalmem() / 2 ** 30).toFixed(0);
  return [
    { what: 'version', found: packageVersion },
    { what: 'node', found: process.version },
    {
      what: 'machine',
      found: `${process.platform} ${process.arch}, ${availableParallelism()} cores, ${gib} GiB memory`,
    },
    await pictures(),
  ];
}

async function pictures(): Promise<Finding> {
  const what = 'sharp';
  try {
    const { default: sharp } = await import('sharp');
    return { what, found: `${sharp.versions.sharp}, libvips ${sharp.versions.vips}` };
  } catch (error) {
    return {
      what,
      found: `does not load: ${(error as Error).message.split('\n')[0]}`,
      advice: 'it reads and writes pictures; install again with "npm ci", without --omit=optional',
    };
  }
}

function print(title: string, findings: readonly Finding[]): void {
  const width = Math.max(...findings.map(({ what }) => what.length));
  console.log(title);
  for (const { what, found, advice } of findings) {
    console.log(`  ${what.padEnd(width)}  ${found}`);
    if (advice !== undefined) console.log(`  ${''.padEnd(width)}  -> ${advice}`);
  }
}
