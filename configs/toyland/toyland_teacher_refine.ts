// Goes on where toyland_teacher ends, on other drawings:
//   diffengine export-pipeline work_dirs/toyland_teacher --out work_dirs/toyland_teacher_pipeline
import { defineConfig } from 'diffengine';
import teacher from 'diffengine/configs/toyland/toyland_teacher';

export default defineConfig({
  _base_: teacher,
  model: { model: 'work_dirs/toyland_teacher_pipeline', init: 'copy' },
  train_dataloader: { dataset: { seed: 11 } },
  train_cfg: { max_iters: 4000 },
  randomness: { seed: 1 },
});
