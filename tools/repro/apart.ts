/** Which features tell a subject from others of its kind: toyland's CLIP against its DINO, on triples of drawings. */
import { Rng } from '../../src/base/rng.js';
import type { Image } from '../../src/datasets/image/picture.js';
import { classOf, INSTANCES, renderInstance } from '../../src/datasets/toyland/instances.js';
import { randomMarks, randomPaint } from '../../src/datasets/toyland/paint.js';
import { renderPainted, type Paint } from '../../src/datasets/toyland/render.js';
import { SETTINGS, SUBJECTS, type Setting } from '../../src/datasets/toyland/world.js';
import { dot, unit } from '../../src/evaluation/metrics/vectors.js';
import type { HostTensor } from '../../src/tensor/host.js';

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
