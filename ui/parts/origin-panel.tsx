/** Who made a run and how: what somebody else needs to make it again. */
import type { RunView } from '../../src/runs/run-view.js';
import { CopyButton } from './copy-button.js';
import { date, number } from './words.js';

export function OriginPanel({ environment }: { readonly environment: RunView['environment'] }) {
  if (!environment) return <p class="nothing">This run does not say; runs of newer versions write environment.json.</p>;
  const { command, diffengine, node, platform, cpu, cores, memory, backend, started } = environment;
  const facts: readonly [string, string][] = [
    ['diffengine', diffengine],
    ['Node.js', node],
    ['System', platform],
    ['Processor', `${cpu}, ${cores} ${cores === 1 ? 'core' : 'cores'}`],
    ['Memory', `${number(Math.round(memory * 10) / 10)} GiB`],
    ['Computed by', backend],
    ['Started', date(started)],
  ];
  return (
    <div class="origin">
      <div class="text-box">
        <CopyButton text={command} what="command" />
        <pre tabIndex={0} role="region" aria-label="Command that makes this run again">
          {command}
        </pre>
      </div>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
