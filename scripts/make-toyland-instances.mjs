// Draws assets/toyland-instances/: five pictures of each of toyland's subjects for DreamBooth.
// Deterministic: the same sources and sharp version give the same files. Run: npm run build && node scripts/make-toyland-instances.mjs [dist]
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const dist = process.argv[2] ?? 'dist',
  out = process.argv[3] ?? 'assets/toyland-instances';
const load = (file) => import(pathToFileURL(resolve(dist, 'src/datasets', file)).href);
const { INSTANCES, instancePhotos } = await load('toyland/instances.js');
const { writePng } = await load('image/picture-file.js');

for (const instance of INSTANCES) {
  for (const [i, photo] of (await instancePhotos(instance)).entries())
    await writePng(join(out, instance, `${i}.png`), photo);
  console.log(join(out, instance));
}
