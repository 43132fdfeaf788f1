/** The words of docs/results.md, and what the numbers say about the orderings of BK-SDM's paper. */
import { boundsOf, type Result } from './result.js';
import { MODEL_NAMES, SUBJECT_NAMES } from './rows/dreambooth.js';

export const INTRODUCTION = `# Results on toyland

Made by \`npm run repro\`, which runs the commands below and writes this page; a second call goes on after a stop.

Toyland is a world of drawings of 64x64 pixels (\`ToylandDataset\`): twelve subjects in eight colours and ten settings. A latent
diffusion model with the topology of Stable Diffusion 1.x was trained in it from nothing, on two CPU cores, and its U-Net
compressed as in BK-SDM (Kim et al., arXiv 2305.15798). Models are asked for 200 prompts whose combination of subject, colour
and setting no training picture shows; tuned ones for their subject in seven settings that its photos do not show. Each picture
takes 25 steps of DDIM with guidance 4, rescaled by 0.7.

- FD and CMMD: distances of CLIP features of 200 generated pictures from those of 1,000 drawings of held-out combinations
  (Fréchet distance of two Gaussians; maximum mean discrepancy, arXiv 2401.09603). Lower is better.
- CLIP-T: cosine of picture and prompt. CLIP-I: mean cosine of generated pictures and the five pictures of the subject.
  Both by toyland's own CLIP (\`assets/toyland-clip\`), so they compare models here, not with other papers.
- DINO: as CLIP-I, by toyland's own vision transformer that learnt without texts (\`assets/toyland-dino\`). PRES: the same for
  pictures that were asked for by the class alone; a model that keeps other dogs as they were has less. DIV: 1 - cosine of
  DINO features between pictures of one prompt.
- recognised: share of pictures whose nearest picture, by DINO, is one of the subject's five, and not one of the photos of
  twelve other subjects of its kind, painted otherwise, three each, in the places of the subject's own photos.
- subject, colour, setting: share of pictures in which a classifier that was trained on drawings only
  (\`assets/toyland-classifier\`) finds what the prompt says.
- True drawings are the mark. Those of a subject show it in the settings of the prompts; its look is unlike all that CLIP was
  trained on, so CLIP-T falls where it is painted: compare with theirs, not with before.
- ±: half of the 95 % interval (Student t). Where a row is trained, over three trainings with other seeds, each measured over
  all seeds of pictures; where nothing is trained, over the seeds of pictures.
- 1,000 iterations: from the median of the trainings' own clocks, of as many runs at once as the line below says. Memory: the process at its largest.`;

export const SIZES_TITLE = 'Teacher and students';
export const LATENCY_TITLE = 'Time of a step';
export const RECOVERY_TITLE = 'What distillation is for: the Tiny student, 40 iterations after its blocks were removed';
export const DISTILLATION_TITLE = 'The Tiny student for longer: 500 iterations each';
export const PAIRS_TITLE = 'Number of distillation pairs (Tiny, 500 iterations)';
export const MEANS_TITLE = 'DreamBooth with LoRA: means over the subjects';
export const PERSONAL_TITLE = 'DreamBooth with LoRA: each subject';
export const LORA_TITLE = 'DreamBooth on the Base student: rank, 8-bit weights, prior preservation';
export const KINDS_TITLE = 'Kinds of adapter: the dog on the Base student';
export const SEARCH_TITLE =
  'How the settings were chosen: Base, two trainings and three seeds of pictures that no other table uses';

/** What a table does not say of itself. */
export const NOTES: Readonly<Record<string, string>> = {
  [SIZES_TITLE]:
    'Base and Small differ in the middle block alone. It sees maps of 2x2 here and does next to nothing ([what each block is worth](toyland.md#what-the-teacher-draws-and-what-limits-it)).',
  [KINDS_TITLE]:
    'All at the learning rate and for the iterations that were searched for LoRA. A kind may do better with its own.',
};

interface Claim {
  readonly section: string;
  readonly text: string;
  readonly score: string;
  /** stage ids, the better one first */
  readonly pairs: readonly (readonly [string, string])[];
  readonly better: 'lower' | 'higher';
}

const TAKES_ON = 'The teacher takes subjects on better than its students';
/** @param subjects or their mean @param teacher what it may be better at, by which score */
const personalClaims = (
  section: string,
  subjects: readonly string[],
  teacher: readonly (readonly [text: string, score: string])[],
): Claim[] => [
  {
    section,
    text: 'Tuning brings the subject into the pictures',
    score: 'DINO',
    better: 'higher',
    pairs: MODEL_NAMES.flatMap((m) => subjects.map((s) => [`dreambooth_${m}_${s}`, `untuned_${m}_${s}`] as const)),
  },
  ...teacher.map(([text, score]): Claim => ({
    section,
    text,
    score,
    better: 'higher',
    pairs: MODEL_NAMES.slice(1).flatMap((m) =>
      subjects.map((s) => [`dreambooth_teacher_${s}`, `dreambooth_${m}_${s}`] as const),
    ),
  })),
];

const CLAIMS: readonly Claim[] = [
  {
    section: SIZES_TITLE,
    text: 'Quality falls gently with removed blocks (teacher, Base, Small, Tiny in this order)',
    score: 'FD',
    better: 'lower',
    pairs: [
      ['teacher_eval', 'student_base'],
      ['student_base', 'student_small'],
      ['student_small', 'student_tiny'],
    ],
  },
  ...(
    [
      [RECOVERY_TITLE, 'recover_'],
      [DISTILLATION_TITLE, ''],
    ] as const
  ).flatMap(([section, prefix]): Claim[] => [
    {
      section,
      text: 'Distillation beats training on the data alone',
      score: 'FD',
      better: 'lower',
      pairs: [
        [`${prefix}kd`, `${prefix}no_kd`],
        [`${prefix}random_init`, `${prefix}random_init_no_kd`],
      ],
    },
    {
      section,
      text: 'Feature distillation helps',
      score: 'FD',
      better: 'lower',
      pairs: [[`${prefix}kd`, `${prefix}no_feature_kd`]],
    },
    {
      section,
      text: 'Output distillation alone helps',
      score: 'FD',
      better: 'lower',
      pairs: [[`${prefix}no_feature_kd`, `${prefix}no_kd`]],
    },
    {
      section,
      text: "The teacher's weights are a better start than random ones",
      score: 'FD',
      better: 'lower',
      pairs: [[`${prefix}kd`, `${prefix}random_init`]],
    },
  ]),
  {
    section: PAIRS_TITLE,
    text: 'More pairs are better',
    score: 'FD',
    better: 'lower',
    pairs: [
      ['kd', 'pairs_2000'],
      ['pairs_2000', 'pairs_500'],
    ],
  },
  ...personalClaims(
    MEANS_TITLE,
    ['mean'],
    [
      [TAKES_ON, 'DINO'],
      [TAKES_ON, 'CLIP-I'],
      ['The teacher keeps to its prompts better than its students', 'CLIP-T'],
      ['The teacher keeps to its prompts better than its students', 'setting accuracy'],
    ],
  ),
  ...personalClaims(PERSONAL_TITLE, SUBJECT_NAMES, [[TAKES_ON, 'DINO']]),
  {
    section: LORA_TITLE,
    text: 'A higher rank brings the subject closer',
    score: 'DINO',
    better: 'higher',
    pairs: [
      ['lora_r32', 'dreambooth_base_dog'],
      ['dreambooth_base_dog', 'lora_r2'],
    ],
  },
  {
    section: LORA_TITLE,
    text: 'Base weights of 16 bits take the subject on better than those of 8',
    score: 'DINO',
    better: 'higher',
    pairs: [['dreambooth_base_dog', 'lora_int8']],
  },
  {
    section: LORA_TITLE,
    text: 'Prior preservation keeps pictures to their prompts',
    score: 'CLIP-T',
    better: 'higher',
    pairs: [['dreambooth_base_dog', 'no_prior']],
  },
];

/** One line for each ordering that can be judged: does it hold, and are the intervals apart? */
export function verdicts(section: string, results: readonly Result[]): string[] {
  return CLAIMS.filter((claim) => claim.section === section).flatMap(({ text, score, pairs, better }) => {
    const judged = pairs.flatMap(([first, second]) => {
      const [a, b] = [first, second]
        .map((id) => results.find(({ row }) => row.id === id))
        .map((r) => (r ? boundsOf(r, score) : undefined));
      if (!a || !b) return [];
      const [high, low] = better === 'higher' ? [a, b] : [b, a];
      return [
        {
          pair: `${first} against ${second}`,
          holds: high[0] + high[1] > low[0] + low[1],
          apart: high[0] > low[1] || low[0] > high[1],
        },
      ];
    });
    if (judged.length === 0) return [];
    const list = (some: typeof judged): string => some.map(({ pair }) => pair).join(', ');
    const clear = judged.filter(({ holds, apart }) => holds && apart),
      not = judged.filter(({ holds, apart }) => !holds && apart),
      close = judged.filter(({ apart }) => !apart);
    const answers = [
      ...(clear.length === judged.length
        ? ['holds here, with intervals that do not overlap']
        : clear.length > 0
          ? [`holds here for ${list(clear)}`]
          : []),
      ...(not.length > 0 ? [`does not hold here for ${list(not)}`] : []),
      ...(close.length > 0 ? [`cannot be told here, for intervals overlap, for ${list(close)}`] : []),
    ];
    return [`**${text}** (${score}): ${answers.join('; ')}.`];
  });
}
