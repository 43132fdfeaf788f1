import { useState } from 'preact/hooks';
import type { RunView } from '../../src/runs/run-view.js';
import { number } from '../parts/words.js';
import { api } from './api.js';
import { Dialog, optionLines } from './dialog.js';

/** Goes on from the last checkpoint, to the iterations that were planned or to more. */
export function ResumeDialog({ view, close }: { readonly view: RunView; readonly close: () => void }) {
  const planned = view.maxIters ?? view.iterations,
    [total, setTotal] = useState(view.state === 'done' ? 2 * planned : planned),
    [options, setOptions] = useState('');
  const submit = async (): Promise<void> => {
    const longer = total === view.maxIters ? [] : [`train_cfg.max_iters=${total}`];
    await api.resume(view.id, { cfgOptions: [...longer, ...optionLines(options)] });
  };
  return (
    <Dialog
      title={`${view.state === 'done' ? 'Train longer' : 'Resume'}: ${view.name}`}
      action="Go on"
      submit={submit}
      close={close}
    >
      <p class="hint">
        It goes on from its last checkpoint, after {number(view.iterations)} iterations, as if it had never ended.
      </p>
      <label>
        Iterations in all
        <input
          type="number"
          min="1"
          step="1"
          required
          value={total}
          onInput={(e) => setTotal(Number(e.currentTarget.value))}
        />
      </label>
      <label>
        Other options, one a line (not needed)
        <textarea
          rows={2}
          value={options}
          placeholder="optim_wrapper.optimizer.lr=0.001"
          onInput={(e) => setOptions(e.currentTarget.value)}
        />
      </label>
    </Dialog>
  );
}
