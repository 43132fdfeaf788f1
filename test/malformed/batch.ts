/**
 * Runs command lines one after the other in this process, through the same commands as `cli.ts`, and reports each as a line.
 * A process of its own for each of hundreds of cases would take minutes; what ends or hangs this one, its parent sees.
 */
import { readdirSync, readFileSync, writeSync } from 'node:fs';
import { Command } from 'commander';
import { UserError } from '../../src/base/errors.js';

export interface Report {
  readonly case: number;
  /** undefined: no error at all */
  readonly error?: string;
  readonly message?: string;
  readonly stack?: string;
  readonly ms?: number;
}

const [, , file, first] = process.argv;
const lines = JSON.parse(readFileSync(file, 'utf8')) as readonly (readonly string[])[];
const say = (report: Report): void => void writeSync(3, `${JSON.stringify(report)}\n`);

const folder = new URL('../../tools/commands/', import.meta.url);
const commands = await Promise.all(
  readdirSync(folder)
    .filter((name) => name.endsWith('.js'))
    .map((name) => import(new URL(name, folder).href) as Promise<{ register(program: Command): void }>),
);
for (let i = Number(first); i < lines.length; i++) {
  const program = new Command('diffengine').exitOverride();
  for (const { register } of commands) register(program);
  const begin = performance.now();
  writeSync(3, `{"case":${i}}\n`);
  try {
    await program.parseAsync(['node', 'diffengine', ...lines[i]]);
    say({ case: i, ms: performance.now() - begin });
  } catch (error) {
    const { name, message, stack = '' } = error instanceof Error ? error : new Error(String(error));
    say({
      case: i,
      error: error instanceof UserError ? 'UserError' : name,
      message,
      stack,
      ms: performance.now() - begin,
    });
  }
}
process.exit(0);
