/**
 * Builds tfjs-node's addon against a TensorFlow package that is already on the machine. The addon is two C++ files that
 * speak TensorFlow's stable C interface, so a current TensorFlow serves it, and with it current GPUs; its own install
 * script knows only TensorFlow 2.9.1 for CUDA 11.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { UserError } from '../../base/errors.js';
import { missingParts } from './diagnose.js';
import { NATIVE_PACKAGES } from './runtime.js';

const WHERE = '--link-tensorflow';
const run = promisify(execFile);
const { resolve: locate } = createRequire(import.meta.url);

/**
 * @param folder of a TensorFlow package: libtensorflow_cc.so.2, libtensorflow_framework.so.2, include/
 * @param from where tfjs-node is looked for; default this package
 * @returns what the addon says when it is loaded
 * @throws UserError for what is missing, and for what the compiler or the library say
 */
export async function linkTensorflow(folder: string, say: (line: string) => void, from?: string): Promise<string> {
  if (process.platform !== 'linux')
    throw new UserError(`${WHERE}: works on Linux only, this is ${process.platform}; see docs/backends.md`);
  const tensorflow = resolve(folder),
    missing = missingParts(tensorflow);
  if (missing.length > 0)
    throw new UserError(
      `${WHERE} ${folder}: no ${missing.join(', no ')} there; give the folder "tensorflow" of a TensorFlow 2 package, e.g. <venv>/lib/python3.12/site-packages/tensorflow`,
    );
  const [name, root] = addonPackage(from);
  const addon = await addonPath(root),
    unfinished = `${addon}.${process.pid}`;
  const compiler = process.env['CXX'] ?? 'c++';
  const libraries = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'].map((file) => join(tensorflow, file));
  const args = [
    '-O2',
    '-std=c++17',
    '-shared',
    '-fPIC',
    `-DNAPI_VERSION=${napiVersion(addon)}`,
    `-I${nodeHeaders()}`,
    `-I${join(tensorflow, 'include')}`,
    ...['tfjs_backend.cc', 'tfjs_binding.cc'].map((file) => join(root, 'binding', file)),
    '-o',
    unfinished,
    ...libraries,
    `-Wl,-rpath,${tensorflow}`,
  ];
  say(`building the addon of ${name} with ${compiler}, about half a minute`);
  await mkdir(dirname(addon), { recursive: true });
  try {
    await run(compiler, args).catch((error: NodeJS.ErrnoException & { stderr?: string }) => {
      const missingCompiler = error.code === 'ENOENT';
      throw new UserError(
        `${WHERE}: ${missingCompiler ? `no compiler "${compiler}"; install g++, or name one in CXX` : `${compiler} failed; its first complaint: ${firstError(error.stderr)}`}`,
      );
    });
    await rename(unfinished, addon);
  } finally {
    await rm(unfinished, { force: true });
  }
  return probe(name, root);
}

function addonPackage(from: string | undefined): readonly [string, string] {
  const paths = from === undefined ? undefined : { paths: [from] };
  for (const name of NATIVE_PACKAGES) {
    try {
      return [name, dirname(locate(`${name}/package.json`, paths))];
    } catch {
      /* the next one may be there */
    }
  }
  throw new UserError(
    `${WHERE}: tfjs-node is not installed; first npm install --ignore-scripts ${NATIVE_PACKAGES[1]}@4.22.0`,
  );
}

/** Where tfjs-node looks for it: lib/napi-v8 of the highest Node-API version that the package and this Node know. */
async function addonPath(root: string): Promise<string> {
  const { binary } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    binary: { napi_versions: number[] };
  };
  const version = Math.max(...binary.napi_versions.filter((v) => v <= Number(process.versions.napi)));
  return join(root, 'lib', `napi-v${version}`, 'tfjs_binding.node');
}

const napiVersion = (addon: string): string => (/napi-v(\d+)/.exec(addon) as RegExpExecArray)[1];

/** The folder of node_api.h: beside this Node, the system's, or of the package node-api-headers. */
function nodeHeaders(): string {
  const beside = [
    join(dirname(process.execPath), '..', 'include', 'node'),
    '/usr/include/node',
    '/usr/include/nodejs/src',
  ];
  const found = beside.find((folder) => existsSync(join(folder, 'node_api.h')));
  if (found !== undefined) return found;
  try {
    return join(dirname(locate('node-api-headers')), 'include');
  } catch {
    throw new UserError(`${WHERE}: no node_api.h in ${beside.join(', ')}; npm install --no-save node-api-headers`);
  }
}

const firstError = (output = ''): string =>
  output.split('\n').find((line) => /\berror\b|undefined reference|cannot find/.test(line)) ?? output.split('\n')[0];

/** Loads the addon in a process of its own, where a library that does not fit can do no harm. */
async function probe(name: string, root: string): Promise<string> {
  const program = `
    const util = require('node:util'); util.isNullOrUndefined ??= (v) => v == null; util.isArray ??= Array.isArray;
    const tf = require(process.argv[1]);
    const [y] = tf.matMul(tf.ones([1, 3]), tf.ones([3, 1])).dataSync();
    if (y !== 3) throw new Error('1x3 times 3x1 gives ' + y);
    console.log(\`TensorFlow \${tf.backend().binding.TF_Version}, on the \${tf.backend().isUsingGpuDevice ? 'GPU' : 'CPU'}\`);`;
  const { stdout } = await run(process.execPath, ['-e', program, root], {
    env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '2' },
  }).catch((error: Error & { stderr?: string; signal?: string }) => {
    throw new UserError(
      `${WHERE}: the addon of ${name} was built but does not run: ${error.stderr?.split('\n').find((line) => line.includes('Error')) ?? error.signal ?? error.message}`,
    );
  });
  return stdout.trim().split('\n').at(-1) ?? '';
}
