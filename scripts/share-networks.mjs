// Leaves out of a student's folder the networks that are its teacher's: node scripts/share-networks.mjs <student> <teacher>
// For the models in assets/ alone; no tool but diffengine opens such a folder.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const [student, teacher] = process.argv.slice(2);
if (teacher === undefined) {
  console.error('usage: node scripts/share-networks.mjs <folder of the student> <folder of the teacher>');
  process.exit(1);
}
const index = JSON.parse(readFileSync(join(student, 'model_index.json'), 'utf8'));
for (const network of ['text_encoder', 'vae'].filter((name) => index._shared?.[name] === undefined)) {
  for (const file of readdirSync(join(student, network))) {
    const [own, theirs] = [student, teacher].map((folder) => readFileSync(join(folder, network, file)));
    if (!own.equals(theirs)) throw new Error(`${join(student, network, file)}: differs from that of ${teacher}`);
  }
  index._shared = { ...index._shared, [network]: relative(student, join(teacher, network)) };
  rmSync(join(student, network), { recursive: true });
}
writeFileSync(join(student, 'model_index.json'), `${JSON.stringify(index, null, 2)}\n`);
