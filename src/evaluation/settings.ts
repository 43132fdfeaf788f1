/** What an evaluation takes from a training config. */
import { isTree, type Tree } from '../registry/merge.js';
import { isPromptFile } from './pictures.js';

/**
 * The keys of `evaluationSchema`; those that are left open take what the config trains with: prompts of its preview,
 * pictures of its subject.
 */
export function evaluationOf(config: Tree, given: Tree): Tree {
  const { val_dataloader, val_evaluator, val_cfg, backend, cache_dir } = { ...config, ...given };
  const cfg = { ...(config['val_cfg'] as Tree | undefined), ...(val_cfg as Tree | undefined) },
    texts = isTree(val_dataloader) && isTree(val_dataloader['dataset']);
  const prompt = previewOf(config)?.['prompt'];
  return present({
    val_dataloader,
    val_evaluator,
    backend,
    cache_dir,
    val_cfg: present({
      ...cfg,
      prompts:
        cfg['prompts'] ?? (texts || prompt === undefined ? undefined : isPromptFile(prompt) ? prompt : [prompt].flat()),
      instances: cfg['instances'] ?? subject(config),
    }),
  });
}

/** Without keys whose value is undefined. */
export const present = (values: Tree): Tree =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

/** The options of the VisualizationHook that a run has. */
export function previewOf(config: Tree): Tree | undefined {
  return ['default_hooks', 'custom_hooks']
    .flatMap((key) => Object.values((config[key] ?? {}) as Tree))
    .filter(isTree)
    .find((hook) => hook['type'] === 'VisualizationHook');
}

/** The folder of a DreamBooth run. */
function subject({ train_dataloader: loader }: Tree): unknown {
  const dataset = isTree(loader) ? loader['dataset'] : undefined;
  return isTree(dataset) && dataset['type'] === 'DreamBoothDataset' ? dataset['dataset'] : undefined;
}
