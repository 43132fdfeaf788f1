/** All runs of the folder: a click shows one, the box lays it over the others. */
import type { RunSummary } from '../../src/runs/run-view.js';
import { Swatch } from '../parts/swatch.js';
import { ago, number, scoreValue, STATE } from '../parts/words.js';
import { fileUrl } from './api.js';
import { goTo } from './place.js';
import { now } from './now.js';
import { runs, show, shown, toggle } from './store.js';
import './run-list.css';

export function RunList() {
  const list = runs.value ?? [];
  return (
    <ul class="run-list" aria-label="Runs">
      {list.map((run) => (
        <RunRow key={run.id} run={run} />
      ))}
    </ul>
  );
}

function RunRow({ run }: { readonly run: RunSummary }) {
  const { id, name, state, loss, scores, thumbnail } = run,
    place = shown.value.find((other) => other.id === id)?.place,
    only = shown.value.length === 1 && place !== undefined;
  const select = (): void => {
    void show(id);
    goTo('run');
  };
  return (
    <li class={place === undefined ? undefined : 'on'}>
      <input
        type="checkbox"
        checked={place !== undefined}
        disabled={only}
        aria-label={`Compare ${name}`}
        title="Lay over the others"
        onChange={() => void toggle(id)}
      />
      <button type="button" aria-current={place !== undefined} onClick={select}>
        <Thumbnail id={id} path={thumbnail} />
        <span class="what">
          <span class="name" title={id}>
            {place !== undefined && shown.value.length > 1 && <Swatch place={place} />}{' '}
            <small>{id.slice(0, -name.length)}</small>
            {name}
          </span>
          <span class="bar">
            <Bar run={run} />
            <Count run={run} />
          </span>
          <small>
            <span class={`state ${state}`}>{STATE[state]}</span> · {when(run)}
          </small>
          <small>
            {loss == null ? 'no loss yet' : `loss ${number(loss)}`}
            {scores.slice(0, 1).map((score) => ` · ${score.name} ${scoreValue({ ...score, halfWidth: undefined })}`)}
          </small>
        </span>
      </button>
    </li>
  );
}

const when = ({ state, started, changed }: RunSummary): string =>
  ago(state === 'running' ? (started ?? changed) : changed, now.value);

function Thumbnail({ id, path }: { readonly id: string; readonly path: string | undefined }) {
  return path ? (
    <img class="thumbnail" src={fileUrl(id, path)} alt="" width="52" height="52" />
  ) : (
    <span class="thumbnail" aria-hidden="true" />
  );
}

export function Bar({ run: { iterations, maxIters, name } }: { readonly run: RunSummary }) {
  return <progress max={maxIters ?? Math.max(iterations, 1)} value={iterations} aria-label={`Progress of ${name}`} />;
}

/** "300 of 600", as wide as it will ever be, and one text: nothing moves when a digit is added. */
export function Count({ run: { iterations, maxIters } }: { readonly run: RunSummary }) {
  const whole = maxIters == null ? '' : ` of ${number(maxIters)}`,
    width = Math.max(2 * whole.length - 4, number(iterations).length + whole.length);
  return (
    <small class="count" style={{ minWidth: `${width}ch` }}>
      {`${number(iterations)}${whole}`}
    </small>
  );
}
