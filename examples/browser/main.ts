import * as ort from 'onnxruntime-web/webgpu';
import { loadOnnxPipeline, type OnnxPipeline } from 'diffengine/browser';

/** `?model=` and `?device=wasm` choose another folder, and what computes. */
const asked = new URLSearchParams(location.search),
  model = new URL(asked.get('model') ?? './model', location.href),
  device = asked.get('device') ?? ((await webgpu()) ? 'webgpu' : 'wasm');

const find = <E extends Element>(selector: string): E => document.querySelector<E>(selector)!;
const form = find<HTMLFormElement>('form'),
  status = find('[role=status]'),
  progress = find('progress') as HTMLProgressElement,
  canvas = find('canvas') as HTMLCanvasElement,
  draw = find<HTMLButtonElement>('button'),
  stop = find<HTMLButtonElement>('[name=stop]');

let adapter = '';
let stopping = new AbortController();
const loading = loadOnnxPipeline(model, {
  ort,
  executionProviders: [device],
  onLoad: (network) => say(`Opening ${network} (${device}) ...`),
});
loading.then((pipeline) => say(`Ready: ${pipeline.defaultSize} px, ${device}.`), failed);

form.addEventListener('submit', (event) => {
  event.preventDefault();
  stopping = new AbortController();
  draw.disabled = true;
  stop.disabled = false;
  void picture()
    .catch(failed)
    .finally(() => ((draw.disabled = false), (stop.disabled = true)));
});
stop.addEventListener('click', () => stopping.abort());

async function picture(): Promise<void> {
  const pipeline = await loading,
    fields = new FormData(form),
    number = (name: string): number => Number(fields.get(name));
  await putOn(pipeline, String(fields.get('adapter')), number('scale'));
  const start = performance.now();
  const { width, height, rgba } = await pipeline
    .draw({
      prompt: String(fields.get('prompt')),
      seed: number('seed'),
      steps: number('steps'),
      guidanceScale: number('guidance'),
      signal: stopping.signal,
      onStep: (done, total) => {
        progress.value = done / total;
        say(`Step ${done} of ${total} ...`);
      },
    })
    .then((drawn) => ({ width: drawn.width, height: drawn.height, rgba: drawn.rgba() }));
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext('2d')!.putImageData(new ImageData(rgba, width), 0, 0);
  say(`Drawn in ${((performance.now() - start) / 1000).toFixed(1)} s (${device}).`);
}

/** The folder of an adapter as a run wrote it, such as `step999`: nothing is exported again. */
async function putOn(pipeline: OnnxPipeline, folder: string, scale: number): Promise<void> {
  const wanted = folder === '' ? '' : `${folder} ${scale}`;
  if (wanted === adapter) return;
  await pipeline.unloadAdapters();
  adapter = '';
  if (folder !== '') await pipeline.loadAdapter(new URL(folder, location.href), { scale });
  adapter = wanted;
}

async function webgpu(): Promise<boolean> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<unknown> } };
  return gpu !== undefined && (await gpu.requestAdapter().catch(() => null)) !== null;
}

function say(text: string): void {
  status.textContent = text;
}

function failed(error: unknown): void {
  say(error instanceof Error ? error.message : String(error));
}
