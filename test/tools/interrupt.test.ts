import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Project } from '../fixtures/tools/cli.js';

t.setTimeout(60_000);

void t.test('Ctrl-C ends a command that writes a model at once, and leaves nothing half-written', async (t) => {
  const project = Project.create(t, {}),
    args = [resolve('dist/tools/cli.js'), 'make-model', 'tiny', '--out', 'model'];
  const child = spawn(process.execPath, args, {
    cwd: project.path,
    env: project.environment(),
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  while (!project.files().some((name) => name.includes('.tmp/unet'))) await sleep(50);
  child.kill('SIGINT');
  t.strictSame(await ended, [null, 'SIGINT'], 'by the signal, as shells expect');
  t.strictSame(project.files(), []);
});
