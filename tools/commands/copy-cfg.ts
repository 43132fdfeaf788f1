import type { Command } from 'commander';

export function register(program: Command): void {
  program
    .command('copy-cfg')
    .description('copy the source of a built-in config, to change it')
    .argument('<name>', 'a built-in config (see list-cfg)')
    .argument('[dest]', 'file or folder', '.')
    .option('--force', 'replace a file that is there')
    .addHelpText(
      'after',
      '\nExample:\n  diffengine copy-cfg small_sd_dreambooth_lora_dog my_dog.ts && diffengine train my_dog.ts',
    )
    .action(copy);
}

async function copy(name: string, dest: string, { force }: { force?: boolean }): Promise<void> {
  const { access, lstat, readFile, stat } = await import('node:fs/promises');
  const { basename, dirname, join } = await import('node:path');
  const { builtInConfigs, displayName } = await import('../../src/registry/load-config.js');
  const { packageRoot } = await import('../../src/base/package-path.js');
  const { suggestion } = await import('../../src/registry/validate.js');
  const { writeFileAtomic } = await import('../../src/base/atomic-file.js');
  const { UserError } = await import('../../src/base/errors.js');
  const configs = await builtInConfigs();
  const found = configs.get(name);
  if (!found) throw new UserError(`${name}: no built-in config of that name${suggestion(name, [...configs.keys()])}`);
  const source = join(packageRoot, displayName(found));
  const isFolder = await stat(dest).then(
    (s) => s.isDirectory(),
    () => false,
  );
  const target = isFolder ? join(dest, basename(source)) : dest;
  const isThere = await lstat(target).then(
    () => true,
    () => false,
  );
  if (isThere && !force) throw new UserError(`${target}: is there already; choose another name, or add --force`);
  await access(dirname(target)).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${target}: cannot be written (${error.code}); check the folder`, { cause: error });
  });
  await writeFileAtomic(target, await readFile(source));
  console.log(`${target}\nnext: npx diffengine train ${target}`);
}
