/** Which options differ between the config of a checkpoint and that of the run that continues it. */

type Plain = Readonly<Record<string, unknown>>;

/** Hooks that look on, write files, or end the run: their options cannot change what an iteration learns. */
const OBSERVERS = new Set([
  'CheckpointHook',
  'EarlyStoppingHook',
  'EvaluationHook',
  'LoggerHook',
  'PeftSaveHook',
  'ReportHook',
  'VisualizationHook',
]);
/** Places and names; the checkpoint's base model is compared by fingerprint instead. */
const HARMLESS = [
  /^work_dir$/,
  /^log_level$/,
  /^custom_imports\b/,
  /^model\.model$/,
  /^train_dataloader\.num_workers$/,
  /\.class_image\.model$/,
];

/** @returns one line per option that changes the numbers, `path: old -> new`, sorted */
export function changedOptions(before: Plain, after: Plain): string[] {
  const old = leaves(before),
    now = leaves(after);
  return [...new Set([...old.keys(), ...now.keys()])]
    .sort()
    .filter((path) => old.get(path) !== now.get(path) && !HARMLESS.some((pattern) => pattern.test(path)))
    .filter((path) => path !== 'train_cfg.max_iters' || dependsOnLength(after))
    .map((path) => `${path}: ${old.get(path) ?? 'not set'} -> ${now.get(path) ?? 'not set'}`);
}

/** A longer run is the same run, unless a schedule ends where the run ends. */
function dependsOnLength(config: Plain): boolean {
  const schedules = [config['param_scheduler'] ?? []].flat() as Plain[];
  return schedules.some((schedule) => schedule['end'] === undefined);
}

function leaves(value: unknown, path = '', out = new Map<string, string>()): Map<string, string> {
  if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) {
    if (value !== undefined) out.set(path, JSON.stringify(value));
    return out;
  }
  const isObserver = /^(default|custom)_hooks\.[^.]+$/.test(path) && OBSERVERS.has(String((value as Plain)['type']));
  if (!isObserver)
    for (const [key, inner] of Object.entries(value)) leaves(inner, path === '' ? key : `${path}.${key}`, out);
  return out;
}
