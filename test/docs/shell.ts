/** Blocks of shell commands: run in a user's project, or only taken apart. bash itself reads them, both times. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Project } from '../fixtures/tools/cli.js';

/** `npx` finds what the project has installed, without npm's half second for each call; EXTRA goes to `train`. */
const RUN = `set -eo pipefail
npx() { local tool=$1; shift; "node_modules/.bin/$tool" "$@" $([[ $1 != train || -z $EXTRA ]] || echo --cfg-options $EXTRA); }
npm() { echo 'npm does not run in tests: put <!-- not run: why --> before the block'; return 1; }
`;

/** No program is found, so bash hands over each command, its words apart: a NUL after a word, two after a command. */
const READ = `PATH=/nonexistent
command_not_found_handle() { printf '%s\\0' "$@" '' >&3; }
`;

/** @param extra `key=value ...` for `train` @returns all that the commands print, and the code of the last */
export function runShell(project: Project, script: string, extra = ''): Promise<{ code: number; printed: string }> {
  return new Promise((done) => {
    const child = execFile(
      'bash',
      ['-c', `exec 2>&1\n${RUN}${script}`],
      { cwd: project.path, env: { ...project.environment(), EXTRA: extra }, maxBuffer: 2 ** 26 },
      (error, printed) =>
        done({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, printed }),
    );
    child.stdin?.end();
  });
}

/** The commands of a block, each as its words. Nothing runs but what bash is itself (export, cd). */
export async function commandsOf(project: Project, script: string): Promise<string[][]> {
  const { stdout } = await promisify(execFile)('bash', ['-c', `exec 3>&1 >/dev/null 2>&1\n${READ}${script}\ntrue`], {
    cwd: project.path,
    env: {},
  });
  return stdout
    .split('\0\0')
    .filter((command) => command !== '')
    .map((command) => command.split('\0'));
}
