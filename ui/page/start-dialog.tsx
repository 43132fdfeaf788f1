import { useEffect, useState } from 'preact/hooks';
import type { ConfigName } from '../../tools/ui/protocol.js';
import { api } from './api.js';
import { Dialog, optionLines } from './dialog.js';
import { goTo, tab } from './place.js';
import { show } from './store.js';

/** Small enough to see something within a minute on any machine. */
export const FIRST_CONFIG = 'toyland_small_sd_dreambooth_lora_dog';

export function StartDialog({ close }: { readonly close: () => void }) {
  const [configs, setConfigs] = useState<readonly ConfigName[]>([]),
    [config, setConfig] = useState(FIRST_CONFIG),
    [workDir, setWorkDir] = useState(''),
    [options, setOptions] = useState(''),
    [trouble, setTrouble] = useState<string>();
  useEffect(() => {
    api.configs().then(setConfigs, (error: Error) => setTrouble(error.message));
  }, []);
  const submit = async (): Promise<void> => {
    const { id } = await api.start({
      config,
      ...(workDir.trim() === '' ? {} : { workDir: workDir.trim() }),
      cfgOptions: optionLines(options),
    });
    await show(id);
    tab.value = 'training';
    goTo('run');
  };
  return (
    <Dialog title="Start a run" action="Start training" submit={submit} close={close}>
      <label>
        Config
        <select value={config} onChange={(e) => setConfig(e.currentTarget.value)}>
          {configs.length === 0 && <option value={config}>{config}</option>}
          <Group label="In this folder" configs={configs.filter(({ source }) => source === 'folder')} />
          <Group label="Built in" configs={configs.filter(({ source }) => source === 'built-in')} />
        </select>
        {config === FIRST_CONFIG && (
          <small>Learns a drawn dog from five small pictures. No graphics card needed.</small>
        )}
      </label>
      <label>
        Options, one a line (not needed)
        <textarea
          rows={4}
          value={options}
          placeholder={'train_cfg.max_iters=200\noptim_wrapper.optimizer.lr=0.001'}
          onInput={(e) => setOptions(e.currentTarget.value)}
        />
      </label>
      <label>
        Folder of the run (not needed)
        <input
          type="text"
          value={workDir}
          placeholder={nameOf(config)}
          onInput={(e) => setWorkDir(e.currentTarget.value)}
        />
      </label>
      {trouble !== undefined && <p class="problem">{trouble}</p>}
    </Dialog>
  );
}

function Group({ label, configs }: { readonly label: string; readonly configs: readonly ConfigName[] }) {
  if (configs.length === 0) return null;
  return (
    <optgroup label={label}>
      {configs.map(({ name }) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </optgroup>
  );
}

/** As `train` names it: the config's file name. */
const nameOf = (config: string): string => config.replace(/^.*\//, '').replace(/\.\w+$/, '');
