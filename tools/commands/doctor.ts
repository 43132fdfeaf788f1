import type { Command } from 'commander';
import type { Diagnosing, Finding } from '../../src/backends/backend.js';

export function register(program: Command): void {
  program
    .command('doctor')
    .description('say what is installed, what computes, and what to do about what is missing')
    .option(
      '--link-tensorflow <folder>',
      'build the addon of an installed tfjs-node against this TensorFlow package (Linux)',
    )
    .addHelpText(
      'after',
      `
Examples:
  diffengine doctor
  diffengine doctor --link-tensorflow .venv/lib/python3.12/site-packages/tensorflow`,
    )
    .action(doctor);
}

async function doctor({ linkTensorflow: folder }: { linkTensorflow?: string }): Promise<void> {
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
