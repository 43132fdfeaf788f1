import { chmodSync, readFileSync } from 'node:fs';
import t from 'tap';
import { linkTensorflow } from '../../src/backends/tfjs/link-tensorflow.js';
import { Project } from '../fixtures/tools/cli.js';

void t.test('doctor: says what is installed and what computes, backend by backend', async (t) => {
  const { code, out } = await Project.create(t, {}).run(['doctor']);
  t.equal(code, 0);
  t.match(
    out,
    /^diffengine\n {2}version +\d+\.\d+\.\d+\n {2}node +v\d+.*\n {2}machine +\S+ \S+, \d+ cores, \d+ GiB memory\n {2}sharp +\d+\.\d+\.\d+, libvips 8/,
  );
  t.match(out, /\nOnnxRuntimeBackend\n {2}onnxruntime-node +1\.\d+\.\d+, with cpu/);
  t.match(out, /\nTfjsBackend\n {2}@tensorflow\/tfjs-core +4\.\d+\.\d+\n {2}@tensorflow\/tfjs-node-gpu +.+\n/);
  t.match(out, /\n {2}computes with +(TensorFlow 2\..+|plain JavaScript, slowly\n +-> .*docs\/backends\.md)\n$/);
});

void t.test(
  'doctor --link-tensorflow: a folder that is no TensorFlow package is refused',
  { skip: process.platform !== 'linux' && 'Linux only' },
  async (t) => {
    const { code, err } = await Project.create(t, {}).run(['doctor', '--link-tensorflow', 'nowhere']);
    t.equal(code, 1);
    t.equal(
      err,
      'diffengine: --link-tensorflow nowhere: no libtensorflow_cc.so.2, no libtensorflow_framework.so.2, no include/tensorflow/c/eager/c_api.h there; give the folder "tensorflow" of a TensorFlow 2 package, e.g. <venv>/lib/python3.12/site-packages/tensorflow\n',
    );
  },
);

/** A TensorFlow package and a tfjs-node without their contents, and a compiler that writes down what it is asked for. */
const PARTS = {
  'tensorflow/libtensorflow_cc.so.2': '',
  'tensorflow/libtensorflow_framework.so.2': '',
  'tensorflow/include/tensorflow/c/eager/c_api.h': '',
  'node_modules/@tensorflow/tfjs-node/package.json': '{"main":"main.js","binary":{"napi_versions":[3,8,99]}}',
  'node_modules/@tensorflow/tfjs-node/main.js': `
    module.exports = {
      ones: () => 1, matMul: () => ({ dataSync: () => [require('node:fs').existsSync(__dirname + '/lib/napi-v8/tfjs_binding.node') ? 3 : 0] }),
      backend: () => ({ binding: { TF_Version: '2.99.0' }, isUsingGpuDevice: true }),
    };`,
  'works.sh':
    '#!/bin/sh\necho "$@" > "$(dirname "$0")/asked"\nwhile [ "$1" != -o ]; do shift; done\necho addon > "$2"\n',
  'fails.sh': '#!/bin/sh\necho "In file included from x" >&2\necho "x.cc:3:1: error: no such thing" >&2\nexit 1\n',
};

void t.test(
  '--link-tensorflow builds the addon against the package and tries it',
  { skip: process.platform !== 'linux' && 'Linux only' },
  async (t) => {
    const project = Project.create(t, PARTS),
      compiler = process.env['CXX'];
    t.teardown(() => {
      if (compiler === undefined) delete process.env['CXX'];
      else process.env['CXX'] = compiler;
    });
    for (const name of ['works.sh', 'fails.sh']) chmodSync(project.file(name), 0o755);
    const link = (script: string) => {
      process.env['CXX'] = project.file(script);
      return linkTensorflow(project.file('tensorflow'), () => undefined, project.path);
    };
    const addon = project.file('node_modules/@tensorflow/tfjs-node/lib/napi-v8/tfjs_binding.node');

    await t.rejects(link('fails.sh'), {
      name: 'UserError',
      message: /fails\.sh failed; its first complaint: x\.cc:3:1: error: no such thing$/,
    });
    await t.rejects(link('nothing.sh'), {
      name: 'UserError',
      message: /no compiler ".*nothing\.sh"; install g\+\+, or name one in CXX$/,
    });
    t.equal(await link('works.sh'), 'TensorFlow 2.99.0, on the GPU');
    t.equal(readFileSync(addon, 'utf8'), 'addon\n');
    const asked = readFileSync(project.file('asked'), 'utf8');
    for (const part of [
      '-DNAPI_VERSION=8',
      `-I${project.file('tensorflow/include')}`,
      'binding/tfjs_backend.cc',
      `-Wl,-rpath,${project.file('tensorflow')}`,
    ])
      t.ok(asked.includes(part), part);
    t.strictSame(project.files('node_modules/@tensorflow/tfjs-node/lib/napi-v8'), ['tfjs_binding.node']);
  },
);
