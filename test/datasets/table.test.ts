import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { readTable } from '../../src/datasets/table.js';

const dir = await mkdtemp(join(tmpdir(), 'table-'));
const write = async (name: string, content: string | Uint8Array) => {
  await writeFile(join(dir, name), content);
  return join(dir, name);
};
const rows = async (name: string, content: string | Uint8Array) =>
  (await readTable(await write(name, content), 'write it')).map(({ values }) => ({ ...values }));

void t.test('the same rows come from every encoding, line end and kind of table', async (t) => {
  const csv = 'file_name,text\na.png,"grün, und ""so"""\n\nb.png,\n',
    expected = [
      { file_name: 'a.png', text: 'grün, und "so"' },
      { file_name: 'b.png', text: '' },
    ];
  t.strictSame(await rows('a.csv', csv), expected);
  t.strictSame(await rows('b.csv', `\uFEFF${csv}`), expected);
  t.strictSame(await rows('c.csv', csv.replaceAll('\n', '\r\n')), expected);
  t.strictSame(await rows('d.csv', csv.replaceAll('\n', '\r')), expected);
  t.strictSame(await rows('e.csv', Buffer.from(`\uFEFF${csv}`, 'utf16le')), expected);
  t.strictSame(await rows('f.csv', Buffer.from(`\uFEFF${csv}`, 'utf16le').swap16()), expected);
  t.strictSame(await rows('g.TSV', 'file_name\ttext\na.png\t"grün, und ""so"""\nb.png\t\n'), expected);
  t.strictSame(await rows('j.csv', 'file_name,text\na.png,a 5" disk\n'), [{ file_name: 'a.png', text: 'a 5" disk' }]);
  const lines = expected.map((row) => JSON.stringify(row));
  t.strictSame(await rows('h.jsonl', `\uFEFF${lines.join('\n\n')}\n`), expected);
  t.strictSame(await rows('i.jsonl', lines.join('\r\n')), expected);
});

void t.test('what is no row is refused with its line', async (t) => {
  const refuses = async (name: string, content: string | Uint8Array, message: string) =>
    t.rejects(rows(name, content), { name: 'UserError', message: `${join(dir, name)}${message}` });
  const fix = 'is no JSON object; write {"column": "value", ...}, or remove the line';
  await refuses('n.jsonl', 'null\n{"a":"b"}\n', ` line 1: null ${fix}`);
  await refuses('o.jsonl', '{"a":"b"}\n\n[1,2]\n', ` line 3: [1,2] ${fix}`);
  await refuses('p.jsonl', '"text"\n', ` line 1: "text" ${fix}`);
  await refuses('q.csv', 'file_name,text,text\na.png,x,y\n', `: two columns "text"; rename one`);
  await refuses(
    'r.csv',
    Buffer.from('file_name,text\na.png,caf\xe9\n', 'latin1'),
    ' line 2: not UTF-8: byte 0xE9, which is "é" in Windows-1252 (latin-1); save it as UTF-8',
  );
  await refuses(
    'u.csv',
    'file_name;text\na.png;x\n',
    ' line 1: its columns are separated by semicolons; save it with commas',
  );
  await refuses('v.csv', 'file_name\ttext\na.png\tx\n', ' line 1: its columns are separated by tabs; call it .tsv');
  await refuses(
    'w.csv',
    'file_name,text\na.png\n',
    ': Invalid Record Length: columns length is 2, got 1 on line 2; each row has a value for each column; put quotes around a text that contains commas',
  );
  await refuses(
    'x.csv',
    'file_name,text\na.png,"x\n',
    ': Quote Not Closed: the parsing is finished with an opening quote at line 2; close the quote',
  );
  await refuses('s.json', '[]', ': a table in .json is not read; save it as .csv or .jsonl');
  await refuses('t.xlsx', 'PK', ': a table in .xlsx is not read; save it as .csv or .jsonl');
  await t.rejects(readTable(join(dir, 'absent.csv'), 'write it'), {
    message: `${join(dir, 'absent.csv')}: cannot be read (ENOENT); write it`,
  });
});
