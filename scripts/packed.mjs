/** What the scripts share that try the package as a stranger gets it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** @returns what it prints @throws with all that it said, when it fails */
export function run(cwd, [command, ...args]) {
  const { status, signal, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 600_000 });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ended with ${status ?? signal}\n${stdout}${stderr}`);
  return stdout;
}

export const registryAnswers = () =>
  spawnSync('npm', ['ping', '--fetch-retries=0', '--fetch-timeout=10000'], { stdio: 'ignore' }).status === 0;

/** Packs the clone, as it was built, into a new folder. */
export function packed() {
  const folder = mkdtempSync(join(tmpdir(), 'packed-diffengine-'));
  run(resolve('.'), ['npm', 'pack', '--ignore-scripts', '--pack-destination', folder]);
  return { folder, tarball: join(folder, readdirSync(folder)[0]) };
}
