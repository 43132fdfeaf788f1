import t from 'tap';
import { UserError } from '../../src/base/errors.js';
import { decodeText } from '../../src/base/text-file.js';

const bytes = (...parts: (string | number[])[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part))));
const bigEndian = (text: string) => Buffer.from(text, 'utf16le').swap16();

void t.test('UTF-8 with and without a mark, and UTF-16 with one, are the same text without the mark', (t) => {
  const text = 'straße, 日本, 🐕\n';
  for (const encoded of [
    Buffer.from(text),
    bytes([0xef, 0xbb, 0xbf], text),
    Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]),
    Buffer.concat([Buffer.from([0xfe, 0xff]), bigEndian(text)]),
  ])
    t.equal(decodeText(encoded, 'x'), text);
  t.equal(decodeText(new Uint8Array(0), 'x'), '');
  t.equal(decodeText(Buffer.from('a \uFFFD b'), 'x'), 'a \uFFFD b', 'a replacement character of its own is text');
  t.end();
});

void t.test('another encoding is named with its line and byte, not guessed', (t) => {
  const says = (encoded: Uint8Array, message: string) =>
    t.throws(() => decodeText(encoded, 'a.csv'), new UserError(message));
  says(
    bytes('one\n\uFFFDcaf', [0xe9], ' au lait\n'),
    'a.csv line 2: not UTF-8: byte 0xE9, which is "é" in Windows-1252 (latin-1); save it as UTF-8',
  );
  says(
    bytes('100 ', [0x80]),
    'a.csv line 1: not UTF-8: byte 0x80, which is "€" in Windows-1252 (latin-1); save it as UTF-8',
  );
  says(
    bytes('日', [0xe6, 0x97]),
    'a.csv line 1: not UTF-8: byte 0xE6, which is "æ" in Windows-1252 (latin-1); save it as UTF-8',
  );
  says(
    Buffer.from('ab', 'utf16le'),
    'a.csv: a zero at byte 1, UTF-16 little-endian without a byte-order mark; save it as UTF-8',
  );
  says(bigEndian('ab'), 'a.csv: a zero at byte 0, UTF-16 big-endian without a byte-order mark; save it as UTF-8');
  says(bytes([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0]), 'a.csv: UTF-32, which is not read; save it as UTF-8');
  says(bytes([0xff, 0xfe, 0x61]), 'a.csv: not whole UTF-16LE text (3 bytes); save it as UTF-8');
  says(
    bytes('version https://git-lfs.github.com/spec/v1\n'),
    'a.csv: a Git LFS pointer, not the text (43 bytes); run "git lfs pull" in that folder',
  );
  t.end();
});
