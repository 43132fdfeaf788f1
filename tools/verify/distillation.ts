/** Gradients of BK-SDM's and segmind's losses. */
import { distillLoss, tappedUnet } from '../../src/models/distill-loss.js';
import { presetTaps } from '../../src/models/distill-presets.js';
import { weightedMse } from '../../src/models/losses/l2-loss.js';
import { grad } from '../../src/tensor/autodiff.js';
import { floats, type HostTensor } from '../../src/tensor/host.js';
import { substitute } from '../../src/tensor/passes/rewrite.js';
import { fill, leafName, parameter, weight, type Tensor } from '../../src/tensor/tensor.js';
import { asFloats, leaf, type Golden, type LoadedUNet } from './context.js';
import { LIMITS } from './limits.js';
import { evaluate } from './networks.js';

interface DistillRun {
  readonly student: string;
  readonly loss: number;
  readonly loss_task: number;
  readonly loss_output_kd: number;
  readonly loss_features_each: number[];
  readonly output_weight: number;
  readonly feature_weight: number;
  readonly total_grad_norm: number;
  readonly 'points(teacher,student)': [string, string][];
}

/** BK-SDM's and segmind's losses on a student whose every parameter is trained. */
export async function checkDistillation(golden: Golden, file: string): Promise<void> {
  const reference = await golden.reference(file),
    teacher = await golden.unet('base');
  const { runs, grad_norm_order: order } = golden.meta<{
    runs: Record<string, DistillRun>;
    grad_norm_order: Record<string, string[]>;
  }>(file);
  const read = (name: string): Promise<HostTensor> => reference.read(`data/${name}`);
  const feeds = {
    sample: await read('noisy_latents'),
    timesteps: asFloats(await read('timesteps')),
    text: await read('encoder_hidden_states'),
    noise: await read('noise'),
  };
  const inputs = {
    sample: leaf('sample', feeds.sample),
    timesteps: leaf('timesteps', feeds.timesteps),
    encoderHiddenStates: leaf('text', feeds.text),
  };
  for (const [name, run] of Object.entries(runs)) {
    const net = await golden.unet(run.student);
    const leaves = new Map([...net.shapes].map(([key, shape]) => [key, parameter(key, shape)]));
    const student = tappedUnet(
      { get: (key, shape) => leaves.get(key) ?? net.source.get(key, shape) },
      inputs,
      net.config,
    );
    const guide = tappedUnet(teacher.source, inputs, teacher.config);
    const pairs = run['points(teacher,student)'],
      weights = { task: 1, output: run.output_weight, feature: run.feature_weight };
    golden.report.exact(
      `${name}/points`,
      presetTaps(name.startsWith('bk.') ? 'bk_sdm' : 'segmind', teacher.config, net.config),
      pairs,
    );
    const noise = leaf('noise', feeds.noise),
      ones = fill(1, [noise.shape[0]]);
    const { loss, task, output, features } = distillLoss(
      weightedMse(student.out, noise, ones, 1),
      student,
      guide,
      pairs,
      weights,
    );
    const keys = [...leaves.keys()],
      grads = grad(
        loss,
        keys.map((k) => leaves.get(k) as Tensor),
      );
    const frozen = bindToWeights([loss, task, output as Tensor, student.out, guide.out, ...features, ...grads], net);
    const names = [
      'loss',
      'task',
      'output',
      'student',
      'teacher',
      ...features.map((_, i) => `feature${i}`),
      ...keys.map((k) => `grad.${k}`),
    ];
    const results = await evaluate(golden, file, Object.fromEntries(names.map((n, i) => [n, frozen[i]])), feeds);
    golden.report.rel(`${name}/loss`, floats(results['loss']), [run.loss], LIMITS.loss);
    golden.report.rel(`${name}/loss_task`, floats(results['task']), [run.loss_task], LIMITS.loss);
    golden.report.rel(`${name}/loss_output_kd`, floats(results['output']), [run.loss_output_kd], LIMITS.loss);
    golden.report.rel(
      `${name}/loss_features_each`,
      features.map((_, i) => floats(results[`feature${i}`])[0]),
      run.loss_features_each,
      LIMITS.loss,
    );
    golden.report.rel(
      `${name}/student_pred`,
      floats(results['student']),
      floats(await reference.read(`${name}/student_pred`)),
      LIMITS.network,
    );
    golden.report.rel(
      `${name}/teacher_pred`,
      floats(results['teacher']),
      floats(await reference.read('teacher/teacher_pred')),
      LIMITS.network,
    );
    const norms = order[run.student].map((k) => Math.hypot(...floats(results[`grad.${k}`])));
    golden.report.rel(`${name}/grad_norms`, norms, floats(await reference.read(`${name}/grad_norms`)), LIMITS.gradient);
    golden.report.rel(`${name}/total_grad_norm`, [Math.hypot(...norms)], [run.total_grad_norm], LIMITS.gradientWhole);
    for (const tensor of [...reference.entries.keys()].filter((n) => n.startsWith(`${name}/grad.`))) {
      golden.report.rel(
        tensor,
        floats(results[tensor.slice(name.length + 1)]),
        floats(await reference.read(tensor)),
        LIMITS.gradient,
      );
    }
  }
}

/** Trainable leaves read from the student's own file. */
function bindToWeights(outputs: readonly Tensor[], net: LoadedUNet): Tensor[] {
  return substitute(outputs, (l) => {
    if (l.node.op !== 'parameter') return undefined;
    const entry = net.source.weights.entries.get(net.source.storedName(leafName(l)));
    return (
      entry &&
      weight(
        { key: entry.name, file: entry.file, offset: entry.offset, bytes: entry.bytes },
        { dtype: entry.dtype, shape: l.shape },
      )
    );
  });
}
