/** The prompts at one moment, each run beside the others and beside what was before training. */
import type { Picture, Preview, RunView } from '../../src/runs/run-view.js';
import type { PictureRun } from './picture-run.js';
import { PictureTile } from './picture-tile.js';
import { moment } from './words.js';

interface Props {
  readonly runs: readonly PictureRun[];
  readonly iter: number;
  /** before training, too */
  readonly beside: boolean;
}

interface Cell {
  readonly title: string;
  readonly what: string;
  readonly picture: Picture;
}

export function MomentGrid({ runs, iter, beside }: Props) {
  const rows = new Map<string, Cell[]>();
  for (const { name, view } of runs) {
    const now = previewAt(view, iter),
      before = beside ? view.previews.find((preview) => preview.iter < 0) : undefined;
    for (const preview of [before, now]) {
      preview?.pictures.forEach((picture, i) => {
        const prompt = picture.caption || `prompt ${i + 1}`;
        const title = [runs.length > 1 ? name : '', preview.iter < 0 ? 'before' : moment(preview.iter)];
        const row = rows.get(prompt) ?? [];
        rows.set(prompt, row);
        row.push({
          title: title.filter(Boolean).join(', '),
          what: `${prompt}, ${moment(preview.iter)}${runs.length > 1 ? `, ${name}` : ''}`,
          picture,
        });
      });
    }
  }
  return (
    <div class="pairs">
      {[...rows].map(([prompt, cells]) => (
        <figure class="pair" key={prompt}>
          <figcaption>{prompt}</figcaption>
          <div class={cells.length <= 2 ? 'few' : undefined}>
            {cells.map(({ title, what, picture }, i) => (
              <PictureTile key={i} picture={picture} what={what} caption={title} />
            ))}
          </div>
        </figure>
      ))}
    </div>
  );
}

/** The run's newest preview at or before an iteration, or its first. */
const previewAt = (view: RunView, iter: number): Preview | undefined =>
  [...view.previews].reverse().find((preview) => preview.iter <= iter) ?? view.previews[0];
