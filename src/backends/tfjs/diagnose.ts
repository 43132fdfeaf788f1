/** What `diffengine doctor` says of TensorFlow.js: its packages, and TensorFlow libraries they could use. */
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Finding } from '../backend.js';
import { INSTALL, loadNative, loadPackage, NATIVE_PACKAGES } from './runtime.js';

const LINK = 'npx diffengine doctor --link-tensorflow';

export async function diagnose(): Promise<readonly Finding[]> {
  const core = await loadPackage('@tensorflow/tfjs-core');
  const natives = await Promise.all(NATIVE_PACKAGES.map(loadNative));
  const libraries = process.platform === 'linux' ? tensorflowFolders() : [];
  const installed = natives.find(({ module, failure }) => module !== undefined || failure !== undefined);
  const findings: Finding[] = [
    {
      what: core.name,
      found: core.module
        ? core.module.version_core
        : core.failure === undefined
          ? 'not installed'
          : `does not load: ${core.failure}`,
    },
  ];
  for (const { name, module, version, gpu, failure } of natives) {
    const found = module
      ? `${module.version_core} with TensorFlow ${version}, on the ${gpu ? 'GPU' : 'CPU'}`
      : failure === undefined
        ? 'not installed'
        : `does not load: ${failure}`;
    findings.push({
      what: name,
      found,
      ...(failure === undefined
        ? {}
        : {
            advice:
              libraries.length > 0
                ? `link it: ${LINK} ${libraries[0]}`
                : 'its install script downloads TensorFlow; where that fails, see docs/backends.md',
          }),
    });
  }
  for (const folder of libraries) findings.push({ what: 'TensorFlow', found: folder });
  const runs = natives.find(({ module }) => module);
  if (runs)
    return [
      ...findings,
      { what: 'computes with', found: `TensorFlow ${runs.version}, on the ${runs.gpu ? 'GPU' : 'CPU'}` },
    ];
  const install = installed
    ? []
    : [`npm install ${libraries.length > 0 ? '--ignore-scripts ' : ''}${NATIVE_PACKAGES[1]}@4.22.0`];
  if (!core.module)
    return [
      ...findings,
      { what: 'computes with', found: 'nothing', advice: `only --backend tfjs needs it: ${INSTALL}` },
    ];
  const advice = [...install, ...(libraries.length > 0 ? [`${LINK} ${libraries[0]}`] : [])].join(', then ');
  return [
    ...findings,
    {
      what: 'computes with',
      found: 'plain JavaScript, slowly',
      advice: `${advice ? `for TensorFlow: ${advice}; ` : ''}see docs/backends.md`,
    },
  ];
}

/** Folders of TensorFlow packages with the two libraries and headers that the addon is linked with. */
function tensorflowFolders(): string[] {
  const { VIRTUAL_ENV, CONDA_PREFIX, TENSORFLOW_DIR } = process.env;
  const pyenv = join(homedir(), '.pyenv', 'versions');
  const prefixes = [
    VIRTUAL_ENV,
    CONDA_PREFIX,
    '/usr',
    '/usr/local',
    join(homedir(), '.local'),
    ...children(pyenv).map((v) => join(pyenv, v)),
  ].filter((p) => p !== undefined);
  const candidates = prefixes.flatMap((prefix) => {
    const lib = join(prefix, 'lib');
    return children(lib)
      .filter((name) => name.startsWith('python3'))
      .flatMap((python) =>
        ['site-packages', 'dist-packages'].map((packages) => join(lib, python, packages, 'tensorflow')),
      );
  });
  return [...new Set([...(TENSORFLOW_DIR === undefined ? [] : [TENSORFLOW_DIR]), ...candidates])].filter(
    (folder) => missingParts(folder).length === 0,
  );
}

/** What the addon needs of a TensorFlow package and is not there. */
export const missingParts = (folder: string): string[] =>
  ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2', 'include/tensorflow/c/eager/c_api.h'].filter(
    (part) => !existsSync(join(folder, part)),
  );

function children(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
