/** The config of one run, or what differs between several. */
import { ConfigText } from '../parts/config-text.js';
import { Swatch } from '../parts/swatch.js';
import { differences } from './differences.js';
import { open } from './store.js';

export function ConfigPanel() {
  const all = open.value;
  return (
    <>
      {all.length > 1 && <Differences />}
      {all.map(({ id, name, place, view }) => (
        <section class="panel" key={id}>
          <h2>
            {all.length > 1 && <Swatch place={place} />} Config of {name}
          </h2>
          <ConfigText text={view.config} />
        </section>
      ))}
    </>
  );
}

function Differences() {
  const all = open.value,
    rows = differences(all.map(({ view }) => view.config));
  return (
    <section class="panel">
      <h2>What differs</h2>
      {rows.length === 0 ? (
        <p class="nothing">Nothing: the configs are the same.</p>
      ) : (
        <div class="wide">
          <table class="data differences">
            <thead>
              <tr>
                <th scope="col">Option</th>
                {all.map(({ id, name, place }) => (
                  <th scope="col" key={id}>
                    <Swatch place={place} /> {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map(({ path, values }) => (
                <tr key={path}>
                  <th scope="row">
                    <code>{path}</code>
                  </th>
                  {values.map((value, i) => (
                    <td key={i}>{value === undefined ? <small>not set</small> : <code>{value}</code>}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
