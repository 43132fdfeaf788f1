/** Which features tell a subject from others of its kind: toyland's CLIP against its DINO, on triples of drawings. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { writeFileAtomic } from '../../src/base/atomic-file.js';
import { resolvePackagePath } from '../../src/base/package-path.js';
import { Rng } from '../../src/base/rng.js';
import type { Image } from '../../src/datasets/image/picture.js';
import { classOf, INSTANCES, renderInstance } from '../../src/datasets/toyland/instances.js';
import { randomMarks, randomPaint } from '../../src/datasets/toyland/paint.js';
import { renderPainted, type Paint } from '../../src/datasets/toyland/render.js';
import { SETTINGS, SUBJECTS, type Setting } from '../../src/datasets/toyland/world.js';
import { loadComponents } from '../../src/components.js';
import { buildBackend } from '../../src/engine/build-backend.js';
import { dot, unit } from '../../src/evaluation/metrics/vectors.js';
import { ConsoleLogger } from '../../src/loggers/console-logger.js';
import { ClipFeatures } from '../../src/sampling/clip-features.js';
import { VitFeatures } from '../../src/sampling/vit-features.js';
import type { HostTensor } from '../../src/tensor/host.js';
import { RECORDS } from './row.js';

/** Subjects beside the four of the DreamBooth pictures. */
const PAINTED = 24;
/** Other subjects of the kind, per subject. */
const OTHERS = 3;

interface Looks {
  readonly own: (setting: Setting, take: number) => Promise<Image>;
  /** paints of others: as far from it as chance has it, or its own but for the marks */
  readonly others: Readonly<Record<'other' | 'marks', readonly ((setting: Setting) => Promise<Image>)[]>>;
}

/** Share of triples in which a subject is nearer to itself in another setting than to another of its kind. */
export interface Apart {
  /** the other one is painted otherwise and stands where the subject does the second time */
  readonly other: number;
  /** the other one differs in its marks alone */
  readonly marks: number;
  /** as `other`, and the other one stands where the subject does the first time: what sees the setting first is wrong here */
  readonly sameSetting: number;
  readonly triples: number;
}

function subjects(rng: Rng): Looks[] {
  const painted =
    (subject: (typeof SUBJECTS)[number], paint: Paint, name: string, index: number) =>
    (setting: Setting, take = 0) =>
      renderPainted(
        subject,
        paint,
        setting,
        rng.stream(`apart ${name} ${SETTINGS.indexOf(setting)} ${take}`, index),
        64,
      );
  const paints = Array.from({ length: PAINTED }, (_, i): Looks => {
    const subject = SUBJECTS[i % SUBJECTS.length],
      paint = randomPaint(rng.stream('apart paint', i));
    const others = Array.from({ length: OTHERS }, (_, k) => rng.stream(`apart other ${k}`, i));
    return {
      own: painted(subject, paint, 'own', i),
      others: {
        other: others.map((stream, k) => painted(subject, randomPaint(stream), `other ${k}`, i)),
        marks: others.map((stream, k) => painted(subject, { ...paint, marks: randomMarks(stream) }, `marks ${k}`, i)),
      },
    };
  });
  const instances = INSTANCES.map((instance, i): Looks => {
    const others = Array.from({ length: OTHERS }, (_, k) => randomPaint(rng.stream(`apart instance ${k}`, i)));
    return {
      own: (setting, take) => renderInstance(instance, setting, rng.stream(`apart ${instance} ${setting} ${take}`), 64),
      others: { other: others.map((paint, k) => painted(classOf(instance), paint, `instance ${k}`, i)), marks: [] },
    };
  });
  return [...instances, ...paints];
}

/** @param see features of pictures, uint8 [64, 64, 3] */
export async function apart(
  see: (pictures: readonly HostTensor[]) => Promise<readonly Float32Array[]>,
): Promise<Apart> {
  const right = { other: 0, marks: 0, sameSetting: 0 },
    all = { other: 0, marks: 0, sameSetting: 0 };
  const rows = async (pictures: readonly Promise<Image>[]): Promise<Float64Array[]> =>
    (await see(await Promise.all(pictures))).map(unit);
  for (const { own, others } of subjects(new Rng(99))) {
    const first = await rows(SETTINGS.map((setting) => own(setting, 0))),
      second = await rows(SETTINGS.map((setting) => own(setting, 1)));
    for (const kind of ['other', 'marks'] as const)
      for (const other of others[kind]) {
        const theirs = await rows(SETTINGS.map((setting) => other(setting)));
        for (const a of SETTINGS.keys())
          for (const b of SETTINGS.keys()) {
            if (a === b) continue;
            const same = dot(first[a], second[b]);
            all[kind]++;
            if (same > dot(first[a], theirs[b])) right[kind]++;
            if (kind !== 'other') continue;
            all.sameSetting++;
            if (same > dot(first[a], theirs[a])) right.sameSetting++;
          }
      }
  }
  return {
    other: right.other / all.other,
    marks: right.marks / all.marks,
    sameSetting: right.sameSetting / all.sameSetting,
    triples: all.other + all.marks,
  };
}

export const APART_TITLE = 'Telling two subjects of one kind apart';
const FOUND = `${RECORDS}/apart.json`;

interface Found {
  readonly fingerprint: string;
  readonly apart: Apart;
}

/** The section of docs/results.md without its heading. Measures what was not measured with these weights. */
export async function apartSection(): Promise<string> {
  await loadComponents();
  const log = new ConsoleLogger({}),
    backend = buildBackend(undefined, log);
  const [clip, dino] = [
    await ClipFeatures.open(resolvePackagePath('package:assets/toyland-clip'), backend, log),
    await VitFeatures.open(resolvePackagePath('package:assets/toyland-dino'), backend, log),
  ];
  try {
    const known = existsSync(FOUND) ? (JSON.parse(await readFile(FOUND, 'utf8')) as Record<string, Found>) : {};
    for (const [name, features] of Object.entries({ CLIP: clip, DINO: dino })) {
      if (known[name]?.fingerprint === features.fingerprint) continue;
      log.info(`${APART_TITLE}: ${name} ...`);
      known[name] = { fingerprint: features.fingerprint, apart: await apart((pictures) => features.images(pictures)) };
    }
    await writeFileAtomic(FOUND, `${JSON.stringify(known, null, 2)}\n`);
    return sectionOf(known);
  } finally {
    await clip.dispose();
    await dino.dispose();
    await backend.dispose();
  }
}

function sectionOf(found: Readonly<Record<string, Found>>): string {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const triples = found['DINO'].apart.triples.toLocaleString('en-US');
  return [
    `Of ${triples} triples of drawings, share in which a subject is nearer, by cosine, to itself in another setting than to another of its kind. The subjects are the four of the DreamBooth pictures and ${PAINTED} painted by lot, which nothing was trained on; chance is 50 %.`,
    [
      '| features | another paint, in the setting of the second picture | other marks alone | another paint, in the setting of the first picture |',
      '| --- | --- | --- | --- |',
      ...Object.entries(found).map(
        ([
          name,
          {
            apart: { other, marks, sameSetting },
          },
        ]) => `| ${[name, ...[other, marks, sameSetting].map(percent)].join(' | ')} |`,
      ),
    ].join('\n'),
  ].join('\n\n');
}
