import t, { type Test } from 'tap';
import { applyCfgOptions } from '../../src/registry/cfg-options.js';
import { dumpConfig } from '../../src/registry/dump.js';
import { getPath, leaves, merge, type Origins, type Tree } from '../../src/registry/merge.js';
import { isRef, ref, resolveRefs } from '../../src/registry/ref.js';
import { parse } from 'yaml';

const set = (config: Tree, ...options: string[]): Tree => applyCfgOptions(config, options, new Map());
const refuses = (t: Test, run: () => unknown, message: string): void =>
  void t.throws(run, { name: 'UserError', message });

void t.test('merge: objects merge at every depth, scalars and lists of the child replace', async (t) => {
  const parent = { a: { b: { c: 1, d: 2 }, list: [1, 2, 3] }, e: 'x' };
  t.strictSame(merge(parent, { a: { b: { d: 9 }, list: [4] } }), { a: { b: { c: 1, d: 9 }, list: [4] }, e: 'x' });
  t.strictSame(
    merge(parent, { e: { f: 1 } }),
    { a: { b: { c: 1, d: 2 }, list: [1, 2, 3] }, e: { f: 1 } },
    'an object replaces a scalar',
  );
  t.strictSame(merge(parent, { a: 5 }), { a: 5, e: 'x' }, 'a scalar replaces an object');
  t.strictSame(merge(parent, { e: undefined }), parent, 'undefined changes nothing');
  t.strictSame(merge(parent, { e: false, a: 0 }), { e: false, a: 0 }, 'false and 0 are values');
});

void t.test('merge: neither side is changed', async (t) => {
  const parent = { a: { b: 1 } },
    child = { a: { c: 2 } };
  merge(parent, child);
  t.strictSame([parent, child], [{ a: { b: 1 } }, { a: { c: 2 } }]);
});

void t.test('merge: null removes a key, at any depth', async (t) => {
  t.strictSame(merge({ hooks: { preview: { type: 'V' }, log: { type: 'L' } } }, { hooks: { preview: null } }), {
    hooks: { log: { type: 'L' } },
  });
  t.strictSame(merge({}, { nothing: null, a: { b: null } }), { a: {} }, 'also one that is not there');
});

void t.test('merge: _delete_ replaces an object whole and leaves no trace of itself', async (t) => {
  const parent = { opt: { type: 'AdamW', lr: 1e-4, weight_decay: 0.01 } };
  t.strictSame(merge(parent, { opt: { _delete_: true, type: 'SGD', lr: 1 } }), { opt: { type: 'SGD', lr: 1 } });
  t.strictSame(merge(parent, { opt: { _delete_: false, lr: 1 } }), {
    opt: { type: 'AdamW', lr: 1, weight_decay: 0.01 },
  });
  t.strictSame(
    merge({}, { a: { _delete_: true, b: { _delete_: true, c: 1 } } }),
    { a: { b: { c: 1 } } },
    'nested, with nothing to delete',
  );
});

void t.test('merge: another type without _delete_ is refused while options of the old one would stay', async (t) => {
  const parent = { opt: { type: 'AdamW', lr: 1e-4 }, backend: { type: 'A' } };
  refuses(
    t,
    () => merge(parent, { opt: { type: 'SGD' } }, 'child.ts'),
    'child.ts: opt.type changes from "AdamW" to "SGD", but the other options of "AdamW" would stay; add _delete_: true to opt and list the options of "SGD"',
  );
  t.strictSame(
    merge(parent, { opt: { type: 'AdamW', lr: 2 } }),
    { opt: { type: 'AdamW', lr: 2 }, backend: { type: 'A' } },
    'the same type may be repeated',
  );
  t.strictSame(
    merge(parent, { backend: { type: 'B', n: 1 } })['backend'],
    { type: 'B', n: 1 },
    'no options, nothing to stay',
  );
});

void t.test('merge: a ref is a value; it replaces objects and objects replace it', async (t) => {
  t.strictSame(merge({ a: { b: 1 } }, { a: ref('x') }), { a: { $ref: 'x' } });
  t.strictSame(merge({ a: ref('x') }, { a: { b: 1 } }), { a: { b: 1 } });
});

void t.test('merge: every leaf knows who set it last', async (t) => {
  const origins: Origins = new Map();
  const base = merge({}, { a: { b: 1, c: [1], d: {} }, e: 1, f: ref('e') }, 'base.ts', origins);
  const config = merge(base, { a: { c: [2] }, e: null }, 'child.ts', origins);
  t.strictSame(
    [...leaves(config)].map(([path]) => [path, origins.get(path)]),
    [
      ['a.b', 'base.ts'],
      ['a.c', 'child.ts'],
      ['a.d', 'base.ts'],
      ['f', 'base.ts'],
    ],
  );
  t.notOk(origins.has('e'), 'what is removed is forgotten');
});

void t.test('leaves and getPath: dotted paths, list items by index', async (t) => {
  t.strictSame(
    [...leaves({ a: { b: [1, 2] }, c: {}, d: null })],
    [
      ['a.b', [1, 2]],
      ['c', {}],
      ['d', null],
    ],
  );
  t.equal(getPath({ a: [{ b: 7 }] }, 'a.0.b'), 7);
  t.equal(getPath({ a: 1 }, 'a.b.c'), undefined);
});

void t.test('ref: takes the value of the merged config, after command line overrides', async (t) => {
  const config = merge(
    { model: { model: 'small' }, prior: { model: ref('model.model') } },
    { model: { model: 'tiny' } },
  );
  t.strictSame(resolveRefs(config)['prior'], { model: 'tiny' });
  t.strictSame(resolveRefs(set(config, 'model.model=./mine'))['prior'], { model: './mine' });
});

void t.test('ref: objects, refs to refs, refs in lists and to list items', async (t) => {
  const config = { a: { x: 1, y: [10, 20] }, b: ref('a'), c: ref('b'), d: [ref('a.y.1'), { e: ref('a.x') }] };
  t.strictSame(resolveRefs(config), {
    a: { x: 1, y: [10, 20] },
    b: { x: 1, y: [10, 20] },
    c: { x: 1, y: [10, 20] },
    d: [20, { e: 1 }],
  });
  t.ok(isRef(config.b) && !isRef({ $ref: 'a', more: 1 }) && !isRef('a'));
});

void t.test('ref: to nothing and in a circle are errors that show the path', async (t) => {
  refuses(
    t,
    () => resolveRefs({ a: { b: ref('model.modle') } }),
    'a.b: ref("model.modle") points at nothing; check the path, or set model.modle',
  );
  refuses(
    t,
    () => resolveRefs({ a: ref('b'), b: ref('c'), c: ref('b') }),
    'a: ref("b") goes in a circle: b -> c -> b; give one of them a value',
  );
  refuses(
    t,
    () => resolveRefs({ a: { b: ref('a') } }),
    'a.b.b: ref("a") goes in a circle: a -> a; give one of them a value',
  );
});

void t.test('--cfg-options: values are YAML', async (t) => {
  const config = set(
    {},
    'a=1e-4',
    'b=true',
    'c=[1, x]',
    'd={e: null, f: 2}',
    'g=a photo of sks dog',
    'h="1"',
    'i=x=y',
    'j.k.l=-0.5',
  );
  t.strictSame(config, {
    a: 1e-4,
    b: true,
    c: [1, 'x'],
    d: { f: 2 },
    g: 'a photo of sks dog',
    h: '1',
    i: 'x=y',
    j: { k: { l: -0.5 } },
  });
});

void t.test('--cfg-options: objects merge as in a child config; null removes; list items by index', async (t) => {
  const config = {
    opt: { lr: 1, wd: 2 },
    hooks: { a: { n: 1 }, b: { n: 2 } },
    list: [{ type: 'Resize', size: 512 }, { type: 'Flip' }],
  };
  t.strictSame(set(config, 'opt={lr: 3}')['opt'], { lr: 3, wd: 2 });
  t.strictSame(set(config, 'hooks.a=null')['hooks'], { b: { n: 2 } });
  t.strictSame(set(config, 'list.0.size=64', 'list.1={type: Pad}')['list'], [
    { type: 'Resize', size: 64 },
    { type: 'Pad' },
  ]);
  t.strictSame(set(config, 'opt={_delete_: true, lr: 3}')['opt'], { lr: 3 });
});

void t.test('--cfg-options: mistakes name the option', async (t) => {
  const config = { list: [1, 2], opt: { type: 'AdamW', lr: 1 }, backend: { type: 'A' } };
  refuses(
    t,
    () => set(config, 'train_cfg.max_iters'),
    '--cfg-options train_cfg.max_iters: no "="; write path.to.key=value',
  );
  refuses(t, () => set(config, '=5'), '--cfg-options =5: no "="; write path.to.key=value');
  refuses(
    t,
    () => set(config, 'list.2=5'),
    '--cfg-options list.2=5: "2" is not an item of a list of 2; items are numbered from 0',
  );
  refuses(
    t,
    () => set(config, 'list.first=5'),
    '--cfg-options list.first=5: "first" is not an item of a list of 2; items are numbered from 0',
  );
  t.throws(() => set(config, 'a=[1, 2'), {
    name: 'UserError',
    message: /^--cfg-options a=\[1, 2: the value is not YAML: .+; quote the text in it$/,
  });
  const change = /opt\.type changes from "AdamW" to "SGD", but the other options of "AdamW" would stay/;
  t.throws(
    () => set(config, 'opt.type=SGD'),
    { name: 'UserError', message: change },
    'a type is not swapped under its options',
  );
  t.throws(() => set(config, 'opt={type: SGD}'), { name: 'UserError', message: change });
  t.strictSame(set(config, 'backend.type=B')['backend'], { type: 'B' }, 'without options it may be');
});

void t.test('--cfg-options: is the origin of what it sets', async (t) => {
  const origins: Origins = new Map([
    ['a.b', 'x.ts'],
    ['list', 'x.ts'],
  ]);
  applyCfgOptions({ a: { b: 1, c: 1 }, list: [1] }, ['a.b=2', 'list.0=3'], origins);
  t.strictSame([...origins].sort(), [
    ['a.b', '--cfg-options'],
    ['list', '--cfg-options'],
  ]);
});

void t.test('dump: any plain value comes back from YAML as it was', async (t) => {
  const config = {
    text: [
      'yes',
      '1e-4',
      '',
      ' a ',
      'a: b',
      '#x',
      'null',
      '~',
      '!ref x',
      'it\'s "q"',
      'two\nlines\n',
      '😀',
      '0x1f',
      '2024-01-01',
    ],
    numbers: [1e-4, 0.1 + 0.2, 1e30, 5e-324, -7, 0, 123456789012345],
    nested: { list: [{ a: [] }, [[1]], {}], flag: false, nothing: [null] },
    'key with: colon': 1,
    long: 'word '.repeat(60),
  };
  t.strictSame(parse(dumpConfig(config)), config);
  const shared = [0.5];
  t.notMatch(dumpConfig({ mean: shared, std: shared }), /[&*]/, 'equal lists are written out, not as anchors');
});
