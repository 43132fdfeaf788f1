/** Pictures and tables of a dataset. */
import { deflateRawSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import { chance, put, type Case } from './case.js';

const PICTURE = 'assets/dog-drawings/01-meadow.png';

const CONFIG = `
model: { type: StableDiffusion, model: 'package:assets/tiny-random-sd', unet_lora_config: { type: LoRA, r: 4 } }
train_dataloader:
  batch_size: 4
  dataset:
    type: ImageFolderDataset
    dataset: DATA
    csv: TABLE
    pipeline: [{ type: Resize, size: 64 }, { type: CenterCrop, size: 64 }, { type: ToTensor }, { type: Normalize, mean: [0.5], std: [0.5] }, { type: PackInputs }]
optim_wrapper: { optimizer: { type: AdamW, lr: 1e-4 } }
train_cfg: { max_iters: 1 }
`;

function train(name: string, files: Readonly<Record<string, string | Uint8Array>>, table = 'metadata.csv'): Case {
  return {
    name,
    write: (folder) => {
      put(folder, 'my.yaml', CONFIG.replace('DATA', JSON.stringify(`${folder}/ds`)).replace('TABLE', table));
      for (const [file, data] of Object.entries(files)) put(`${folder}/ds`, file, data);
    },
    args: ['train', '{}/my.yaml', '--work-dir', '{}/work'],
    opensWorkDir: true,
  };
}

export function* pictures(): Generator<Case> {
  const good = readFileSync(PICTURE);
  const noise = Uint8Array.from({ length: 500 }, () => chance('noise').uint32() & 255);
  const with1 = (name: string, bytes: Uint8Array): Case =>
    train(`picture: ${name}`, { 'a.png': bytes, 'metadata.csv': 'file_name,text\na.png,a dog\n' });
  for (const share of [0, 0.001, 0.01, 0.1, 0.3, 0.6, 0.9])
    yield with1(`cut at ${share * 100} %`, good.subarray(0, Math.floor(good.length * share)));
  yield with1('noise', noise);
  yield with1('a text', Buffer.from('not a picture'));
  yield with1('a web page', Buffer.from('<!doctype html><html><body>404</body></html>'));
  yield with1('a Git LFS pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n'));
  for (const [name, at, bytes] of [
    ['another magic', 0, [1, 2, 3, 4]],
    ['a width of 2^31 - 1', 16, [127, 255, 255, 255]],
    ['a width of 0', 16, [0, 0, 0, 0]],
    ['a depth of 99', 24, [99]],
    ['a colour type of 9', 25, [9]],
    ['a chunk of 4 GB', 33, [255, 255, 255, 255]],
  ] as const) {
    const spoilt = Buffer.from(good);
    spoilt.set(bytes, at);
    yield with1(name, spoilt);
  }
  yield with1(
    'data that is no deflate stream',
    Buffer.concat([good.subarray(0, 41), deflateRawSync(noise), Buffer.alloc(20)]),
  );
}

export function* tables(): Generator<Case> {
  const picture = { 'a.png': readFileSync(PICTURE) };
  const csv = (name: string, text: string | Uint8Array): Case =>
    train(`csv: ${name}`, { ...picture, 'metadata.csv': text });
  for (const [name, text] of Object.entries({
    empty: '',
    'a header alone': 'file_name,text\n',
    'no such column': 'name,text\na.png,x\n',
    'no text column': 'file_name,label\na.png,x\n',
    'a picture that is not there': 'file_name,text\nb.png,x\n',
    'an open quote': 'file_name,text\n"a.png,x\n',
    'too many fields': 'file_name,text\na.png,x,y,z\n',
    'too few fields': 'file_name,text\na.png\n',
    'a folder for a picture': 'file_name,text\n.,x\n',
    'an empty name': 'file_name,text\n,x\n',
  }))
    yield csv(name, text);
  const jsonl = (name: string, text: string): Case =>
    train(`jsonl: ${name}`, { ...picture, 'metadata.jsonl': text }, 'metadata.jsonl');
  for (const [name, text] of Object.entries({
    empty: '',
    'not JSON': 'hello\n',
    'cut off': '{"file_name":"a.png","text":"x"\n',
    'a list': '["a.png","x"]\n',
    'a number': '5\n',
    'a name that is a number': '{"file_name":5,"text":"x"}\n',
    'a text that is a list': '{"file_name":"a.png","text":["x"]}\n',
    'no text': '{"file_name":"a.png"}\n',
    'no name': '{"text":"x"}\n',
    'nested without end': `${'['.repeat(50_000)}\n`,
  }))
    yield jsonl(name, text);
  yield train('no table', picture);
  yield train('a table of another kind', { ...picture, 'metadata.txt': 'a.png x' }, 'metadata.txt');
  const parquet = (name: string, bytes: Uint8Array): Case =>
    train(`parquet: ${name}`, { 'train.parquet': bytes }, 'train.parquet');
  yield parquet('empty', new Uint8Array());
  yield parquet('magic alone', Buffer.from('PAR1PAR1'));
  yield parquet(
    'a footer of 2 GB',
    Buffer.concat([Buffer.from('PAR1'), Buffer.from([255, 255, 255, 127]), Buffer.from('PAR1')]),
  );
  yield parquet(
    'noise',
    Buffer.concat([Buffer.from('PAR1'), Buffer.alloc(200, 7), Buffer.from([100, 0, 0, 0]), Buffer.from('PAR1')]),
  );
}
