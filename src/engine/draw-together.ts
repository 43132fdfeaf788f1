/** Pictures that all ranks draw by shares. */
import type { Collectives } from '../collectives/collectives.js';
import type { SampleRequest } from '../sampling/sample-request.js';
import type { HostTensor } from '../tensor/host.js';

type Draw = (request: SampleRequest) => AsyncGenerator<HostTensor>;

/**
 * Rank r draws pictures r, r + size, ...; all ranks are given all of them, in order. A picture depends on its prompt and
 * seed alone, so that they are those of one process. Ends early, on all ranks at once, when one was asked to stop.
 */
export async function* drawTogether(
  draw: Draw,
  request: SampleRequest,
  ranks: Collectives,
): AsyncGenerator<HostTensor> {
  const { prompts, steps } = request,
    { size, rank } = ranks;
  if (size === 1) {
    yield* draw(request);
    return;
  }
  for (let from = 0; from < prompts.length; from += size) {
    const mine = from + rank,
      count = Math.min(size, prompts.length - from);
    const own =
      mine < prompts.length ? await only(draw, request, mine, (done) => from * steps + done * count) : undefined;
    const drawn = await ranks.allGather(own ? (own.data as Uint8Array) : new Uint8Array(0));
    for (const data of drawn.slice(0, count)) {
      if (data.length === 0) return;
      yield { dtype: 'uint8', shape: [request.height, request.width, 3], data };
    }
  }
}

/** One picture of a request; undefined when it was stopped. @param done of all steps, from those of this picture */
async function only(
  draw: Draw,
  request: SampleRequest,
  index: number,
  done: (steps: number) => number,
): Promise<HostTensor | undefined> {
  const { prompts, seeds, negative_prompt: negative, steps, onStep } = request;
  const one = {
    ...request,
    prompts: [prompts[index]],
    seeds: [seeds[index]],
    ...(Array.isArray(negative) ? { negative_prompt: [negative[index] as string] } : {}),
    ...(onStep ? { onStep: (step: number) => onStep(done(step), prompts.length * steps) } : {}),
  };
  for await (const picture of draw(one)) return picture;
  return undefined;
}
