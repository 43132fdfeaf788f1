/** A row per prompt (and run), a column per moment. */
import type { PictureRun } from './picture-run.js';
import { PictureTile } from './picture-tile.js';
import { moment } from './words.js';

export function SideBySide({
  runs,
  moments,
}: {
  readonly runs: readonly PictureRun[];
  readonly moments: readonly number[];
}) {
  const rows = runs.flatMap(({ name, view }) => {
    const most = Math.max(0, ...view.previews.map(({ pictures }) => pictures.length));
    return Array.from({ length: most }, (_, i) => ({
      key: `${view.id} ${i}`,
      place: i,
      prompt: view.previews.find(({ pictures }) => pictures[i]?.caption)?.pictures[i]?.caption ?? `prompt ${i + 1}`,
      run: runs.length > 1 ? name : undefined,
      cells: moments.map((iter) => view.previews.find((preview) => preview.iter === iter)?.pictures[i]),
    }));
  });
  // The same prompt of several runs stands below each other.
  rows.sort((a, b) => a.place - b.place);
  return (
    <div class="side-by-side" tabIndex={0} role="region" aria-label="Pictures of all moments; arrow keys scroll">
      <table>
        <thead>
          <tr>
            <td />
            {moments.map((iter) => (
              <th scope="col" key={iter}>
                {iter < 0 ? moment(iter) : `iteration ${iter}`}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ key, prompt, run, cells }) => (
            <tr key={key}>
              <th scope="row">
                {prompt}
                {run && <small> {run}</small>}
              </th>
              {cells.map((picture, i) => (
                <td key={i}>
                  {picture && (
                    <PictureTile picture={picture} what={`${prompt}, ${moment(moments[i]!)}${run ? `, ${run}` : ''}`} />
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
