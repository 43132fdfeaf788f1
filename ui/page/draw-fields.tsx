import type { RunView } from '../../src/runs/run-view.js';
import { moment } from '../parts/words.js';
import { BASE, type DrawForm } from './draw-form.js';

interface Props {
  readonly view: RunView;
  readonly form: DrawForm;
  readonly set: (change: Partial<DrawForm>) => void;
  readonly schedulers: readonly string[];
}

type Numbers = 'seed' | 'count' | 'steps' | 'guidanceScale' | 'guidanceRescale' | 'width' | 'height';

/** What a number may be, and what it is for. */
const NUMBERS: readonly (readonly [Numbers, string, Readonly<Record<string, string>>, string])[] = [
  ['seed', 'Seed', { min: '0', step: '1', required: '' }, 'The same seed and settings give the same picture.'],
  ['count', 'Pictures', { min: '1', max: '16', step: '1', required: '' }, 'Each next one has the next seed.'],
  ['steps', 'Steps', { min: '1', step: '1' }, 'More are finer and slower.'],
  ['guidanceScale', 'Guidance', { min: '0', step: 'any' }, 'How strictly it follows the prompt.'],
  [
    'guidanceRescale',
    'Rescale guidance',
    { min: '0', max: '1', step: 'any' },
    'Against pictures that guidance makes too bright or too dark.',
  ],
  ['width', 'Width', { min: '8', step: '8' }, 'Pixels; empty: the size of the model.'],
  ['height', 'Height', { min: '8', step: '8' }, 'Pixels; empty: the size of the model.'],
];

export function DrawFields({ view, form, set, schedulers }: Props) {
  const checkpoint = view.checkpoints.find(({ name }) => name === form.checkpoint);
  const newest = [...view.checkpoints].reverse();
  return (
    <>
      <label class="field">
        Prompt
        <textarea rows={2} required value={form.prompt} onInput={(e) => set({ prompt: e.currentTarget.value })} />
      </label>
      <label class="field">
        What not to show (negative prompt)
        <input
          type="text"
          value={form.negativePrompt}
          onInput={(e) => set({ negativePrompt: e.currentTarget.value })}
        />
      </label>
      <label class="field">
        Model
        <select value={form.checkpoint} onChange={(e) => set({ checkpoint: e.currentTarget.value })}>
          {newest.map(({ name, iter, isBest, isLast }) => (
            <option key={name} value={name}>
              {[moment(iter), isBest && 'best', isLast && 'last'].filter(Boolean).join(', ')}
            </option>
          ))}
          <option value={BASE}>before training</option>
        </select>
      </label>
      {checkpoint?.isAdapter === true && (
        <label class="field" title="0: as before training; 1: as trained; more exaggerates.">
          <span>
            Strength of what was learnt <output>{Number(form.adapterScale).toFixed(2)}</output>
          </span>
          <input
            type="range"
            min="0"
            max="2"
            step="0.05"
            value={form.adapterScale}
            onInput={(e) => set({ adapterScale: e.currentTarget.value })}
          />
        </label>
      )}
      <div class="numbers">
        {NUMBERS.map(([key, label, rules, title]) => (
          <label class="field" key={key} title={title}>
            {label}
            <input type="number" {...rules} value={form[key]} onInput={(e) => set({ [key]: e.currentTarget.value })} />
          </label>
        ))}
      </div>
      <label class="field" title="How noise becomes a picture.">
        Scheduler
        <select value={form.scheduler} onChange={(e) => set({ scheduler: e.currentTarget.value })}>
          <option value="">the model's own</option>
          {(schedulers.includes(form.scheduler) || form.scheduler === ''
            ? schedulers
            : [form.scheduler, ...schedulers]
          ).map((name) => (
            <option key={name} value={name}>
              {name.replace(/Scheduler$/, '')}
            </option>
          ))}
        </select>
      </label>
    </>
  );
}
